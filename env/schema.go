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
// standard it says "x-secret" of a key whose value must never be shown, "x-expects" of a value in words, "x-limit" why
// a value may not be longer, "x-keys" what the keys of a mapping are that are free to choose, and "x-pending" of a key, and
// all below it, that the appliance itself does not act upon yet.
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
	// Below this address the library takes a schema for sound. Checking ours would cost every process more than compiling it
	// does; a test holds it against the metaschema instead.
	const id = "https://json-schema.org/appliance"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(id, doc); err != nil {
		return rules{}, err
	}
	compiled, err := compiler.Compile(id)
	if err != nil {
		return rules{}, err
	}
	written, err := loadWritten()
	if err != nil {
		return rules{}, err
	}
	return rules{compiled: compiled, written: *written}, nil
})

// loadWritten is for those who describe keys, and need none of the compiler's work.
var loadWritten = sync.OnceValues(func() (*schema, error) {
	written := new(schema)
	return written, json.Unmarshal(schemaJSON, written)
})

// schema is what messages and the manual need to know of a node of the schema.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       types              `json:"type"`
	Required   []string           `json:"required"`
	Properties map[string]*schema `json:"properties"`
	Others     others             `json:"additionalProperties"`
	Items      *schema            `json:"items"`
	Defs       map[string]*schema `json:"$defs"`
	Deprecated bool               `json:"deprecated"`
	Title      string             `json:"title"`
	About      string             `json:"description"`
	Default    json.RawMessage    `json:"default"`
	Examples   []json.RawMessage  `json:"examples"`
	Secret     bool               `json:"x-secret"`
	Pending    bool               `json:"x-pending"`
	Keys       string             `json:"x-keys"`
	Expects    string             `json:"x-expects"`
	Limit      string             `json:"x-limit"`

	rank int // among its siblings as they are written; only loadOrdered tells
}

// others is what a mapping holds at keys that are free to choose: nil where there may be none, or where nothing is said.
type others struct{ *schema }

func (o *others) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return nil
	}
	return json.Unmarshal(data, &o.schema)
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
		node = node.target(root).below(part)
		secret = secret || node != nil && node.Secret
	}
	return node, secret
}

// below answers the node of a key or of an item.
func (s *schema) below(part string) *schema {
	if node := s.Properties[part]; node != nil {
		return node
	}
	if s.Items != nil {
		return s.Items
	}
	return s.Others.schema
}

// expects says in words what a place may hold.
func (s *schema) expects(root *schema) string {
	t := s.target(root)
	return cmp.Or(s.Expects, t.Expects, t.kinds())
}

// kinds names the types, of which null goes without saying.
func (s *schema) kinds() string {
	words := map[string]string{"object": "a mapping", "array": "a list", "string": "text", "integer": "a number"}
	var names []string
	for _, name := range s.Type {
		if word := words[name]; word != "" {
			names = append(names, word)
		}
	}
	return strings.Join(names, " or ")
}
