package env

import (
	"bytes"
	"cmp"
	_ "embed" // schema.json and default-env.yml
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema.json
var schemaJSON []byte

//go:embed default-env.yml
var defaultEnv []byte

// Schema answers the JSON Schema (draft 2020-12) of the document, for editors and for documentation. Beside the
// standard it says "x-secret" of a key whose value must never be shown, "x-expects" of a value in words, and "x-limit" why
// a value may not be longer.
func Schema() []byte { return slices.Clone(schemaJSON) }

// Default answers the document of a host that was handed none: localhost, no filesystems of its own, no secrets.
func Default() []byte { return slices.Clone(defaultEnv) }

// rules is the schema, both ready to validate and as it is written.
type rules struct {
	compiled *jsonschema.Schema
	written  schema
}

// loadRules compiles on first use: most processes only flatten.
var loadRules = sync.OnceValues(func() (rules, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaJSON))
	if err != nil {
		return rules{}, err
	}
	const id = "urn:appliance:env"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(id, doc); err != nil {
		return rules{}, err
	}
	compiled, err := compiler.Compile(id)
	if err != nil {
		return rules{}, err
	}
	var r = rules{compiled: compiled}
	err = json.Unmarshal(schemaJSON, &r.written)
	return r, err
})

// schema is what messages need to know of a node of the schema.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       types              `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	Defs       map[string]*schema `json:"$defs"`
	Deprecated bool               `json:"deprecated"`
	Title      string             `json:"title"`
	About      string             `json:"description"`
	Secret     bool               `json:"x-secret"`
	Expects    string             `json:"x-expects"`
	Limit      string             `json:"x-limit"`
}

// types is the "type" of a schema, which is one name or several.
type types []string

func (t *types) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		*t = make(types, 1)
		return json.Unmarshal(data, &(*t)[0])
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// target follows a reference; the node itself keeps what it says of itself.
func (s *schema) target(root *schema) *schema {
	if s.Ref == "" {
		return s
	}
	return root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
}

// at answers the node that describes a place, or nil where the schema says nothing, and whether values there are
// secret: below a secret everything is.
func (s *schema) at(place []string) (node *schema, secret bool) {
	root, node := s, s
	for _, part := range place {
		if node == nil {
			return nil, secret
		}
		t := node.target(root)
		if t.Items != nil && slices.Contains(t.Type, "array") {
			node = t.Items
		} else {
			node = t.Properties[part]
		}
		secret = secret || node != nil && node.Secret
	}
	return node, secret
}

// expects says in words what a place may hold.
func (s *schema) expects(root *schema) string {
	t := s.target(root)
	if own := cmp.Or(s.Expects, t.Expects); own != "" {
		return own
	}
	words := map[string]string{"object": "a mapping", "array": "a list", "string": "text", "integer": "a number"}
	var names []string
	for _, name := range t.Type {
		if word := words[name]; word != "" {
			names = append(names, word)
		}
	}
	return strings.Join(names, " or ")
}
