package source

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"

	"appliance/internal/remedy"
)

// maxParts of one message, so that a message of nothing but boundaries costs little.
const maxParts = 100

// isMIME says whether text begins with the header of a message. A mapping of YAML begins alike, hence the exact names.
func isMIME(text []byte) bool {
	for line := range bytes.Lines(text[:min(len(text), 4096)]) {
		name, _, found := bytes.Cut(line, []byte(":"))
		if !found && !isFolded(line) {
			return false
		}
		if bytes.EqualFold(name, []byte("Content-Type")) || bytes.EqualFold(name, []byte("MIME-Version")) {
			return true
		}
	}
	return false
}

// isFolded says whether a line of a header goes on with the one before.
func isFolded(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

// message answers the documents in a MIME message.
func (u *unpacker) message(text []byte, at layer) ([][]byte, error) {
	if bytes.HasPrefix(text, []byte("From ")) { // of a mailbox, as some tools begin
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	r := bufio.NewReader(bytes.NewReader(text))
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return nil, damaged("MIME", err)
	}
	configs, err := u.entity(header, r, at)
	if err == nil && len(configs) == 0 && !at.part {
		err = remedy.With(errors.New("it is MIME, but has no part with a #cloud-config"), "add a part of the type text/cloud-config")
	}
	return configs, err
}

// entity answers the documents in a message or in a part of one.
func (u *unpacker) entity(header textproto.MIMEHeader, body io.Reader, at layer) ([][]byte, error) {
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if strings.HasPrefix(kind, "multipart/") && err == nil && at.depth <= maxLayers {
		return u.parts(multipart.NewReader(body, parameters["boundary"]), at.within())
	}
	data, err := io.ReadAll(decoded(header, body)) // no more than the message that it is taken from
	if err != nil {
		return nil, damaged("MIME", err)
	}
	at.part, at.named = true, kind == "text/cloud-config"
	return u.open(data, at.within())
}

func (u *unpacker) parts(r *multipart.Reader, at layer) ([][]byte, error) {
	var configs [][]byte
	for range maxParts {
		part, err := r.NextRawPart() // raw: the other reader decodes one transfer encoding of two
		if err == io.EOF {           // as it is: a message that is cut off answers one that wraps it
			return configs, nil
		}
		if err != nil {
			return nil, damaged("MIME", err)
		}
		found, err := u.entity(part.Header, part, at)
		if err != nil {
			return nil, err
		}
		configs = append(configs, found...)
	}
	return nil, fmt.Errorf("it is MIME of more than %d parts", maxParts)
}

// decoded undoes the transfer encoding.
func decoded(header textproto.MIMEHeader, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(header.Get("Content-Transfer-Encoding"))) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// theAppliance picks the one document of several that is meant for us.
func theAppliance(configs [][]byte) ([]byte, error) {
	if len(configs) == 1 {
		return configs[0], nil
	}
	var ours [][]byte
	for _, config := range configs {
		if hasAppliance(config) {
			ours = append(ours, config)
		}
	}
	if len(ours) != 1 {
		return nil, remedy.With(fmt.Errorf("it has %d parts with a #cloud-config, %d of them with the key appliance", len(configs), len(ours)),
			"put the whole environment into exactly one part")
	}
	return ours[0], nil
}

// hasAppliance looks for the key at the left margin, where only the keys at the top of a mapping stand.
func hasAppliance(config []byte) bool {
	for line := range bytes.Lines(trimmed(config)) {
		key, _, found := bytes.Cut(line, []byte(":"))
		if found && strings.Trim(string(bytes.TrimRight(key, " ")), `"'`) == "appliance" {
			return true
		}
	}
	return false
}
