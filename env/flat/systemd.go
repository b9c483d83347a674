package flat

import (
	"bufio"
	"strings"
)

// writeSystemd writes what EnvironmentFile= of systemd.exec(5) reads: text in double quotes, in which a backslash takes
// the meaning of \ " ` and $ away, and newlines stand as they are.
func writeSystemd(out *bufio.Writer, vars []Var, _ Options) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`)
	for _, v := range vars {
		out.WriteString(v.Key + `="` + escape.Replace(v.Value) + "\"\n")
	}
}

// character wants what systemd calls text. It does not read a file at all that has anything else in it.
func character(v Var) (message, todo string) {
	noText := func(r rune) bool {
		return r == '\ufeff' || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe // the byte order mark, and what Unicode calls noncharacters
	}
	if strings.IndexFunc(v.Value, noText) < 0 {
		return "", ""
	}
	return "the value of " + shown(v.Key) + " has a character that is none to systemd: a byte order mark or a Unicode noncharacter", "take it out"
}
