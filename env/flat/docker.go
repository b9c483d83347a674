package flat

import (
	"bufio"
	"fmt"
	"strings"
)

// maxDockerLine is the longest line that the docker CLI reads from an env file, in bytes without the newline: it scans
// with a buffer of 64 KiB.
const maxDockerLine = 64<<10 - 1

// writeDocker writes what `docker run --env-file` and compose's `env_file` with `format: raw` read: a value is everything
// after the first =, as it stands.
func writeDocker(out *bufio.Writer, vars []Var, _ Options) {
	for _, v := range vars {
		out.WriteString(v.Key + "=" + v.Value + "\n")
	}
}

// oneLine wants what the docker CLI reads as one line. Blanks and carriage returns at its ends, which it would drop, are not
// there: Flatten strips text of them.
func oneLine(v Var) (message, todo string) {
	switch {
	case strings.Contains(v.Value, "\n"):
		return "the value of " + shown(v.Key) + " has several lines, which an env file of docker cannot hold",
			"hand it over as a mounted file, or let a shell set it: the format export takes any value"
	case len(v.Key)+len("=")+len(v.Value) > maxDockerLine:
		return fmt.Sprintf("the line of %s is longer than the %d bytes that docker reads", shown(v.Key), maxDockerLine), "hand the value over as a mounted file"
	}
	return "", ""
}
