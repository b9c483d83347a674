package compose

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v4"

	"appliance/internal/remedy"
)

var (
	objectPath = regexp.MustCompile(`\b(services|volumes|networks|configs|secrets|name|x-appliance)(\.[\w-]+|\[\d+\])*`)
	yamlMark   = regexp.MustCompile(`\bL(\d+)\.C(\d+)`)
	quotedName = regexp.MustCompile(`service "([^"]+)"`)
)

// explainLoad turns an error of the loader into one that says file:line:column, the object and the remedy. The loader
// itself tells only the object, or only the parser's mark.
func explainLoad(files []string, err error) error {
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	where, hint := files[0], "mend the compose file; `appliance plan` checks it without changing anything"
	switch mark, path, name := yamlMark.FindStringSubmatch(text), objectPath.FindString(text), quotedName.FindStringSubmatch(text); {
	case mark != nil:
		where = fmt.Sprintf("%s:%s:%s", files[0], mark[1], mark[2])
	case path != "":
		where = position(files, splitPath(path))
	case name != nil:
		where = position(files, []string{"services", name[1]})
	}
	var missing *template.MissingRequiredError
	if errors.As(err, &missing) {
		hint = fmt.Sprintf("set %s in env.yml (a key a.b.c is the variable A_B_C)", missing.Variable)
	}
	for _, file := range files {
		text = strings.TrimPrefix(strings.TrimPrefix(text, "failed to parse "+file+": "), "validating "+file+": ")
	}
	text = strings.ReplaceAll(text, "false schema", "is no key of the compose specification")
	return remedy.With(fmt.Errorf("cannot load the compose project: %s: %s", where, text), hint)
}

func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// position finds the object at path in the files, last file first because it overrides, and answers file:line:column of
// the deepest part of path that is there.
func position(files []string, path []string) string {
	best, depth := files[0], 0
	for i := len(files) - 1; i >= 0; i-- {
		data, err := os.ReadFile(files[i])
		if err != nil {
			continue
		}
		var doc yaml.Node
		if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
			continue
		}
		if node, n := descend(doc.Content[0], path); n > depth {
			best, depth = fmt.Sprintf("%s:%d:%d", files[i], node.Line, node.Column), n
		}
	}
	return best
}

// descend follows path below node as far as it goes and returns the key node of the last part found, and how many were.
func descend(node *yaml.Node, path []string) (*yaml.Node, int) {
	at := node
	for n, part := range path {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		key, value := child(node, part)
		if value == nil {
			return at, n
		}
		at, node = key, value
	}
	return at, len(path)
}

func child(node *yaml.Node, part string) (key, value *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == part {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}
