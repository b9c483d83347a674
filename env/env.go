// Package env knows what an environment document means to an appliance: it holds env.yml against the schema, answers the
// settings that the appliance itself acts upon, and tells which values are secret.
//
// The package has no effects on the host: callers read files and hand in bytes. env/yaml11 reads the text, env/flat
// flattens it for programs.
package env

import (
	"appliance/env/flat"
	"appliance/env/yaml11"
)

// MaxSize is the largest document that is read, in bytes.
const MaxSize = yaml11.MaxSize

// Problem is one thing wrong with a document, and Report is all of them.
type (
	Problem = yaml11.Problem
	Report  = yaml11.Report
)

// Document is a parsed env.yml and where it came from. It does not change after Parse and is safe for concurrent use.
type Document struct {
	*yaml11.Document
	layers []*Document // that it was merged of
}

// Parse decodes one environment document; yaml11.Parse tells what it refuses.
func Parse(origin string, data []byte) (*Document, error) {
	doc, err := yaml11.Parse(origin, data)
	if err != nil {
		return nil, err
	}
	return &Document{Document: doc}, nil
}

// Flatten lists the leaves below the named top-level keys as programs know them: the key ecs.git.branch is ECS_GIT_BRANCH.
func (d *Document) Flatten(keys ...string) ([]flat.Var, error) {
	return flat.Flatten(d.Top, "_", keys...)
}
