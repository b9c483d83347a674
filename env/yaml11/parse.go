// Package yaml11 reads environment documents as their predecessor's programs did, by YAML 1.1: yes is true, 0600 is 384 and
// 12:30:00 is 45000. Every value keeps the place where it was written, and what a document may cost is bounded.
package yaml11

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	// MaxSize is the largest document that is read, in bytes. Metadata services limit user-data to far less.
	MaxSize = 4 << 20

	// maxCommas bounds what a flow collection can cost before it is parsed: the YAML library takes about 1.8 kB for
	// each item, so that 4 MiB of "1,1,1" would take gigabytes.
	maxCommas = 1 << 18

	// maxScan bounds the nesting in the YAML library; the finer maxDepth is checked later, where the line is known.
	maxScan = 1000
)

// Document is a parsed env.yml and where it came from. It does not change after Parse and is safe for concurrent use.
type Document struct {
	Origin string // a path such as "/app/env.yml", or a name such as "embedded default"
	Data   []byte // as it was handed in

	Root       *yaml.Node // as written, with styles and tags
	Top        *Value     // as meant: aliases, merge keys and scalars resolved
	Duplicates []Problem  // keys given twice; the last one counts
}

// Parse decodes one YAML document with a mapping at its top. The error is a *Report when the data is no usable
// document: empty, too large, not UTF-8, binary, not YAML, several documents, nested or expanded beyond the limits, or
// with a value that YAML 1.1 cannot read.
//
// A key given twice is not an error of Parse, because the predecessor took the last one and Flatten has to do as it did;
// it is one of Validate.
func Parse(origin string, data []byte) (*Document, error) {
	if p := checkText(data); p != nil {
		p.File = origin
		return nil, &Report{Problems: []Problem{*p}}
	}
	root, p := load(data)
	if p != nil {
		p.File = origin
		return nil, &Report{Problems: []Problem{*p}}
	}
	b := builder{origin: origin, seen: map[*yaml.Node]*Value{}, anchors: map[string]int{}}
	top := b.build(root)
	if top.cost > maxCost || top.values > MaxValues {
		b.tooLarge(root)
	}
	if len(b.problems) == 0 && top.Kind != Mapping {
		b.problem(root, "must be a mapping of keys at the top, found "+top.Kind.String(),
			"begin with #cloud-config and a line 'appliance:'")
	}
	if err := NewReport(b.problems); err != nil {
		return nil, err
	}
	return &Document{Origin: origin, Data: data, Root: root, Top: top, Duplicates: b.duplicates}, nil
}

// Has reports whether the document has the named key at its top.
func (d *Document) Has(key string) bool { return d.Top.Get(key) != nil }

// checkText refuses what cannot be text of a YAML document, before the YAML library sees it.
func checkText(data []byte) *Problem {
	if len(data) > MaxSize {
		return &Problem{Message: fmt.Sprintf("is larger than %d MiB: %d bytes", MaxSize>>20, len(data)), Remedy: "move large content out of the environment"}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return emptyDocument()
	}
	if bytes.Count(data, []byte(",")) > maxCommas {
		return &Problem{Message: fmt.Sprintf("holds more than %d commas", maxCommas), Remedy: "write shorter lists"}
	}
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return &Problem{Line: line, Column: column, Message: fmt.Sprintf("is not UTF-8: byte 0x%02x", data[i]), Remedy: "save the file as UTF-8"}
		}
		if !printable(r) {
			return &Problem{Line: line, Column: column, Message: fmt.Sprintf("is binary: control character U+%04X", r),
				Remedy: "hand in the text of the file, neither packed nor encrypted"}
		}
		i += n
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return nil
}

// printable is the character set of YAML 1.1.
func printable(r rune) bool {
	return r >= 0x20 && r <= 0x7e || r == '\t' || r == '\n' || r == '\r' || r == 0x85 ||
		r >= 0xa0 && r <= 0xfffd || r >= 0x10000
}

func emptyDocument() *Problem {
	return &Problem{Message: "is empty", Remedy: "write #cloud-config and an appliance section with a domain"}
}

type scanLimit struct{}

func (scanLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxScan {
		return errors.New("nested too deep")
	}
	return nil
}

// CheckAlias allows every alias: nodes keep them as references, and the builder weighs what they expand to.
func (scanLimit) CheckAlias(int, int) error { return nil }

// load composes the only document of data into nodes.
func load(data []byte) (*yaml.Node, *Problem) {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(scanLimit{}))
	if err != nil {
		return nil, yamlProblem(data, err)
	}
	var doc yaml.Node
	if err := loader.Load(&doc); err == io.EOF {
		return nil, emptyDocument()
	} else if err != nil {
		return nil, yamlProblem(data, err)
	}
	var second yaml.Node
	if err := loader.Load(&second); err == nil {
		return nil, &Problem{Line: second.Line, Column: second.Column, Message: "holds several documents", Remedy: "remove the line '---' and what follows it"}
	} else if err != io.EOF {
		return nil, yamlProblem(data, err)
	}
	if len(doc.Content) == 0 {
		return nil, emptyDocument()
	}
	return doc.Content[0], nil
}

// yamlProblem tells what the YAML library did not like. Its texts are kept only where they do not quote the document:
// an unquoted password that begins with * reads as an alias.
func yamlProblem(data []byte, err error) *Problem {
	p := Problem{Message: "is not YAML", Remedy: "check indentation, quotes and brackets at this place"}
	var bad *yaml.LoadError
	if !errors.As(err, &bad) {
		return &p
	}
	p.Line, p.Column = bad.Mark.Line, bad.Mark.Column
	switch {
	case charAt(data, p.Line, p.Column) == '\t':
		p.Message, p.Remedy = "is not YAML: a tab in the indentation", "indent with spaces"
	case bad.Stage == yaml.ComposerStage:
		p.Message, p.Remedy = "is not YAML: an alias (*name) without its anchor (&name)", "put a value that begins with * in quotes"
	case bad.Message == "found unknown escape character":
		p.Message, p.Remedy = "is not YAML: an escape (\\x) that is not known", `between double quotes write \\ for a backslash and / without one`
	default:
		p.Message += ": " + bad.Message
		if bad.ContextMsg != "" {
			p.Message += " " + bad.ContextMsg
		}
	}
	return &p
}

// charAt answers the byte at a place that counts from 1, or 0. Only ASCII is looked for, and indentation is ASCII.
func charAt(data []byte, line, column int) byte {
	for ; line > 1; line-- {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return 0
		}
		data = data[i+1:]
	}
	if column < 1 || column > len(data) {
		return 0
	}
	return data[column-1]
}
