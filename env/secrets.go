package env

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"appliance/env/yaml11"
)

// shortestSecret is how long a text must be to be taken for a secret: shorter ones stand in other words too.
const shortestSecret = 6 // bytes

// secretWords in a key below ecs, where no schema tells, make its value a secret.
var secretWords = []string{"pass", "secret", "token", "key", "credential", "dsn", "settings", "encrypt", "sign", "auth", "vault_retired"}

// secretTops are keys of cloud-init below which anything may stand: scripts, files, passwords.
var secretTops = []string{"runcmd", "bootcmd", "write_files", "users", "chpasswd"}

// hasPassword says whether a text holds an address with user and password.
func hasPassword(text string) bool {
	for rest, more := text, true; more; {
		if _, rest, more = strings.Cut(rest, "://"); !more {
			break
		}
		end := strings.IndexAny(rest, "/?# \t\n")
		if end < 0 {
			end = len(rest)
		}
		user, _, there := strings.Cut(rest[:end], "@")
		if there && strings.Contains(user, ":") {
			return true
		}
	}
	return false
}

// Secrets lists the texts of the document that must not be shown. Of a text of several lines each is a secret of its own.
func (d *Document) Secrets() []string {
	var found []string
	d, _ = d.resolved()
	collect(d.Top, nil, func(place []string, v *yaml11.Value) {
		if (!isSecret(place) || isNameOfSetup(place)) && !hasPassword(v.Text) {
			return
		}
		for line := range strings.Lines(v.Text) {
			if line = yaml11.Strip(line); len(line) >= shortestSecret {
				found = append(found, line)
			}
		}
	})
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(found) // the longest first: it may hold a shorter one
}

// isSecret says whether the value at a place must not be shown: the schema marks such keys, and where it says nothing, below
// ecs and in what others read, the name of the key tells.
func isSecret(place []string) bool {
	r, err := loadRules()
	if err != nil {
		return true // a schema that does not load lets no document pass
	}
	node, secret := r.written.at(place)
	switch {
	case slices.Contains(secretTops, place[0]):
		return true
	case place[0] == "ecs": // the schema calls all of it secret, to be sure; hiding all of it would tell nothing
		return secretByName(place[1:])
	case node == nil && place[0] != "appliance":
		return secretByName(place)
	}
	return secret
}

// isNameOfSetup says that a value of the layout of disks, all of which the schema calls secret because it may be one text with
// passphrases in it, is none itself: without names of devices, what is said of them would tell nothing.
func isNameOfSetup(place []string) bool {
	if len(place) <= len(setupPath) || !slices.Equal(place[:len(setupPath)], setupPath) {
		return false
	}
	r, err := loadRules()
	if err != nil {
		return false
	}
	node, _ := r.written.at(place)
	return node != nil && !node.Secret
}

func secretByName(place []string) bool {
	return slices.ContainsFunc(place, func(part string) bool {
		part = strings.ToLower(part)
		return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(part, word) })
	})
}

// collect hands every scalar that could be a secret, with the place it stands at, to seen.
func collect(v *yaml11.Value, place []string, seen func(place []string, v *yaml11.Value)) {
	switch v.Kind {
	case yaml11.Null, yaml11.Boolean:
	case yaml11.Mapping:
		for i, key := range v.Keys {
			collect(v.Items[i], append(slices.Clip(place), key.Text), seen)
		}
	case yaml11.List:
		for i, item := range v.Items {
			collect(item, append(slices.Clip(place), strconv.Itoa(i)), seen)
		}
	default:
		if len(place) > 0 {
			seen(place, v)
		}
	}
}
