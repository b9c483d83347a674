package cert

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"appliance/internal/remedy"
)

const (
	maxText         = 1 << 20 // bytes of a key or a chain; real ones have a few thousand
	maxCertificates = 32      // of a chain; real ones have up to four
	maxLabel        = 40
)

// block is one part of a PEM text.
type block struct {
	label string
	der   []byte
}

var errEncrypted = remedy.With(errors.New("its key is encrypted, and nobody is there to type the passphrase"),
	"decrypt it, for example with openssl pkey -in KEY -out PLAIN")

// blocks reads a text more forgivingly than encoding/pem, which wants each boundary on a line of its own: an environment
// may have folded the lines into one, indented them, written "\n" for their ends or put anything between the blocks.
// No error shows a part of the text, which may be a key.
func blocks(text string) (found []block, err error) {
	if len(text) > maxText {
		return nil, remedy.With(fmt.Errorf("it has %d bytes", len(text)), "give the key and the chain of this site only")
	}
	text = strings.ReplaceAll(text, `\n`, "\n")
	for {
		_, rest, more := strings.Cut(text, "-----BEGIN ")
		if !more {
			return found, nil
		}
		label, rest, whole := strings.Cut(rest, "-----")
		if !whole || len(label) > maxLabel || strings.Trim(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ") != "" {
			return nil, cutOff("a block")
		}
		body, rest, whole := strings.Cut(rest, "-----END "+label+"-----")
		if !whole || strings.Contains(body, "-----") {
			return nil, cutOff("its " + label)
		}
		if label == "ENCRYPTED PRIVATE KEY" || strings.Contains(body, "ENCRYPTED") { // the second by its Proc-Type (RFC 1421)
			return nil, errEncrypted
		}
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(withoutHeaders(body)), ""))
		if err != nil {
			return nil, cutOff("its " + label)
		}
		found, text = append(found, block{label, der}), rest
	}
}

func cutOff(what string) error {
	return remedy.With(fmt.Errorf("%s is cut off or damaged", what), "copy the PEM text again, from BEGIN to END")
}

// withoutHeaders leaves out the lines "Name: value" that may stand above the data.
func withoutHeaders(body string) string {
	if !strings.Contains(body, ":") {
		return body
	}
	var kept strings.Builder
	for line := range strings.Lines(body) {
		if !strings.Contains(line, ":") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// looksLikePath says whether somebody has given the name of a file instead of what is in it.
func looksLikePath(text string) bool {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 4096 || strings.ContainsAny(text, "\r\n") || strings.Contains(text, "-----") {
		return false
	}
	for _, ending := range []string{".pem", ".crt", ".cer", ".key", ".der", ".p12", ".pfx"} {
		if strings.HasSuffix(strings.ToLower(text), ending) {
			return true
		}
	}
	return strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "~")
}
