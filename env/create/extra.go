package create

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"appliance/env"
)

// extra is a document that is laid over another one.
type extra struct {
	name string
	root *yaml.Node
}

// parseExtra answers nil for no data.
func parseExtra(name string, data []byte) (*extra, error) {
	if data == nil {
		return nil, nil
	}
	doc, err := load(name, data)
	if err != nil {
		return nil, err
	}
	e := &extra{name: name, root: doc.Content[0]}
	if len(e.root.Content) > 0 {
		first := e.root.Content[0] // the first line of a file for cloud-init is no comment on what follows
		first.HeadComment = strings.TrimLeft(strings.TrimPrefix(first.HeadComment, strings.TrimSpace(header)), "\n")
	}
	if n := indirect(e.root); n != nil {
		return nil, e.problem(n, "an alias (*name) or merge key (<<) cannot be laid over another document", "write the values themselves")
	}
	if first, second := twice(e.root); second != nil {
		return nil, e.problem(second, fmt.Sprintf("the same key stands in line %d and in line %d", first.Line, second.Line), "remove one of the two")
	}
	if n := e.at("appliance", "domain"); n != nil {
		return nil, e.problem(n, "the domain belongs to the DNS records and the settings",
			"remove it here, and name it where the environment is asked for")
	}
	if n := e.at("appliance", "dkim"); n != nil {
		return nil, e.problem(n, "the DKIM key belongs to the DNS records", "remove it here, and change the key and its record in the finished file")
	}
	return e, nil
}

// load answers the nodes of one document with a mapping at its top. Package env looks first: it has limits and tells
// problems better.
func load(name string, data []byte) (*yaml.Node, error) {
	if _, err := env.Parse(name, data); err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return &doc, nil
}

// indirect answers the first alias or merge key at or below n, or nil.
func indirect(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.ShortTag() == "!!merge" {
		return n
	}
	for _, child := range n.Content {
		if found := indirect(child); found != nil {
			return found
		}
	}
	return nil
}

// twice answers the first key at or below n that stands in one mapping again, or nil.
func twice(n *yaml.Node) (first, second *yaml.Node) {
	seen := map[string]*yaml.Node{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if before := seen[child.Value]; before != nil {
				return before, child
			}
			seen[child.Value] = child
		}
		if first, second = twice(child); second != nil {
			return first, second
		}
	}
	return nil, nil
}

// at answers the value at a path, or nil.
func (e *extra) at(path ...string) *yaml.Node {
	n := e.root
	for _, name := range path {
		n = below(n, name)
	}
	return n
}

func below(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func (e *extra) sentryDSN() string {
	if e == nil {
		return ""
	}
	if n := e.at("appliance", "sentry", "dsn"); n != nil && !isNull(n) {
		return n.Value
	}
	return ""
}

func (e *extra) problem(n *yaml.Node, message, remedy string) error {
	return &env.Report{Problems: []env.Problem{{File: e.name, Line: n.Line, Column: n.Column, Message: message, Remedy: remedy}}}
}
