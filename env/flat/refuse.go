package flat

import (
	"fmt"
	"strings"
	"unicode"

	"appliance/env/yaml11"
)

// check answers what keeps a variable from being written under its name, and what to do about it; "" is nothing.
type check func(v Var) (message, todo string)

// refuse answers a *yaml11.Report of every variable that cannot be written as it is meant, or nil.
func refuse(vars []Var, checks []check, prefix string) error {
	var problems []yaml11.Problem
	add := func(v Var, message, todo string) {
		if len(problems) < yaml11.MaxProblems {
			problems = append(problems, yaml11.Problem{File: v.File, Line: v.Line, Column: v.Column, Message: message, Remedy: todo})
		}
	}
	first := make(map[string]int, len(vars))
	for i, v := range vars {
		written := v
		written.Key, written.whole = prefix+v.Key, v.whole && prefix == ""
		for _, c := range checks {
			if message, todo := c(written); message != "" {
				add(v, message, todo)
				break
			}
		}
		other := v.clash
		if at, known := first[v.Key]; !known {
			first[v.Key] = i
		} else if vars[at].Place != v.Place { // a key asked for twice, or an alias, says the same again
			other = &yaml11.Value{Place: vars[at].Place}
		}
		if other != nil {
			add(v, fmt.Sprintf("%s is also the flattened name of line %d", shown(v.Key), other.Line), "rename one of the two keys; --compat prints what the predecessor did")
		}
	}
	return yaml11.NewReport(problems)
}

// shown is a name as messages tell it.
func shown(name string) string { return fmt.Sprintf("%.64q", name) }

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// shellName wants a name of POSIX: letters of ASCII, digits and _, no digit first. systemd wants the same.
func shellName(v Var) (message, todo string) {
	name := v.Key
	if name != "" && (name[0] < '0' || name[0] > '9') && strings.Trim(name, nameCharacters) == "" {
		return "", ""
	}
	return "the flattened name " + shown(name) + " is no name of a shell variable",
		"rename the key: letters a to z, digits and _, no digit first; --compat and the format json take any name"
}

// dockerName wants what the engine's parser of env files leaves as it is.
func dockerName(v Var) (message, todo string) {
	name := v.Key
	odd := func(r rune) bool {
		return r == '=' || r == '\ufeff' || unicode.IsSpace(r) || unicode.IsControl(r)
	}
	if name != "" && name[0] != '#' && strings.IndexFunc(name, odd) < 0 {
		return "", ""
	}
	return "the flattened name " + shown(name) + " is no name that an env file of docker can hold",
		"rename the key: no blanks, no =, no # first; --compat and the format json take any name"
}

// maxArgument is the longest NAME=value that Linux hands to a process (MAX_ARG_STRLEN, less the NUL at the end). A longer
// one in the environment of a shell lets no command start at all.
const maxArgument = 32*4096 - 1 // bytes

func argument(v Var) (message, todo string) {
	if len(v.Key)+len("=")+len(v.Value) <= maxArgument {
		return "", ""
	}
	return fmt.Sprintf("the value of %s is longer than the %d bytes that a process can be given", shown(v.Key), maxArgument),
		"shorten it, or put it into a file of its own"
}

// maxExported bounds all that is exported together, in bytes: Linux gives the arguments and the environment of a process a
// quarter of its stack, 2 MiB as a rule. That holds half of it, less room for what the shell has already.
const maxExported = 1<<20 - 64<<10

// altogether adds up what Linux counts of each variable: NAME=value, a NUL and a pointer. It complains once, of the variable
// that is too much.
func altogether() check {
	sum := 0
	return func(v Var) (message, todo string) {
		before := sum
		sum += len(v.Key) + len("=") + len(v.Value) + len("\x00") + 8
		if before > maxExported || sum <= maxExported {
			return "", ""
		}
		return fmt.Sprintf("with %s the variables are altogether longer than %d bytes, and a shell that exports them may be unable to start any command", shown(v.Key), maxExported),
			"ask for fewer keys, or put large values into files of their own"
	}
}

func noNUL(v Var) (message, todo string) {
	if strings.IndexByte(v.Value, 0) < 0 {
		return "", ""
	}
	return "the value of " + shown(v.Key) + " has a NUL in it, which no variable can hold", "encode it, for example as base64"
}
