package create

import (
	"bytes"
	_ "embed" // template.yml
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"appliance/env"
	"appliance/internal/remedy"
)

//go:embed template.yml
var embedded string

// Data is what a template can use. Beside it there are the functions of text/template and
//
//	indent N TEXT   every line of TEXT after N blanks, for a block below "key: |"
//	quote TEXT      TEXT in double quotes, ASCII only, as YAML and Python both read it
//	comment TEXT    every line of TEXT after "# "
//	secret          new random text: 39 bytes as 52 characters of base64, another one at each use
//
// Keys are texts of several lines that end in a newline; the OpenPGP keys are armored, without expiry or passphrase.
type Data struct {
	Domain    string // full name of the host
	SentryDSN string // appliance.sentry.dsn of Extra, "" without
	DNS       Zone   // the records to publish
	Selector  string // of the DKIM key in the DNS
	DKIMKey   string // RSA private key, PEM

	BackupKey       string // OpenPGP secret key ecs_backup
	VaultEncryptKey string // OpenPGP secret key ecs_mediaserver
	VaultSignKey    string // OpenPGP secret key ecs_authority
}

// source is a parsed template that knows its own text.
type source struct {
	*template.Template
	text string
}

func parseTemplate(name string, text []byte) (source, error) {
	s := source{text: string(text)}
	if text == nil {
		name, s.text = "template.yml", embedded
	}
	var err error
	s.Template, err = template.New(name).Funcs(template.FuncMap{
		"indent":  func(n int, text string) string { return prefix(strings.Repeat(" ", n), text) },
		"quote":   strconv.QuoteToASCII,
		"comment": func(text string) string { return prefix("# ", text) },
		"secret":  newSecret,
	}).Parse(s.text)
	if err != nil {
		return source{}, remedy.With(fmt.Errorf("cannot read the template: %w", err), "correct the action between {{ and }} in this line")
	}
	return s, nil
}

// prefix puts p before every line of text that is not empty, and drops newlines at the end.
func prefix(p, text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		if line != "\n" {
			b.WriteString(p)
		}
		b.WriteString(line)
	}
	return b.String()
}

// render answers the text for data. Problems are those of the text, but their lines are the template's.
func (s source) render(data Data) ([]byte, error) {
	w := tracer{starts: s.literals()}
	if err := s.Execute(&w, data); err != nil {
		return nil, remedy.With(fmt.Errorf("cannot fill the template: %w", err), "use only the documented fields and functions")
	}
	lines := append(w.lines, w.line) // the last one need not be finished
	return w.Bytes(), check(s.Name(), w.Bytes(), func(p *env.Problem) {
		if 0 < p.Line && p.Line <= len(lines) {
			p.Line = lines[p.Line-1]
		}
	})
}

// literals answers, for each piece of text between actions, the line it begins at. Pieces are known by the address of
// their first byte, because the package hands them to the writer as they are.
func (s source) literals() map[*byte]int {
	starts := map[*byte]int{}
	for _, t := range s.Templates() {
		eachText(t.Root, func(n *parse.TextNode) {
			if len(n.Text) > 0 {
				starts[&n.Text[0]] = 1 + strings.Count(s.text[:n.Pos], "\n")
			}
		})
	}
	return starts
}

func eachText(node parse.Node, visit func(*parse.TextNode)) {
	branch := func(n *parse.BranchNode) {
		eachText(n.List, visit)
		if n.ElseList != nil {
			eachText(n.ElseList, visit)
		}
	}
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			eachText(child, visit)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TextNode:
		visit(n)
	}
}

// tracer notes which line of the template each line of its output comes from: the values of actions have lines, too.
type tracer struct {
	bytes.Buffer
	starts map[*byte]int
	line   int   // of the template, where the output has arrived
	lines  []int // of the template, for each finished line of the output
}

func (t *tracer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	start, literal := t.starts[&p[0]]
	if literal {
		t.line = start
	}
	for range bytes.Count(p, []byte("\n")) {
		t.lines = append(t.lines, t.line)
		if literal {
			t.line++
		}
	}
	return t.Buffer.Write(p)
}
