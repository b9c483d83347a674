package flat

import (
	"bufio"
	"bytes"
	"encoding/json"
)

// writeJSON writes one object, a name a line, in the order of the variables; a name that was asked for twice once.
func writeJSON(out *bufio.Writer, vars []Var, _ Options) {
	written := make(map[string]bool, len(vars))
	lead := "{\n  "
	for _, v := range vars {
		if written[v.Key] {
			continue
		}
		written[v.Key] = true
		out.WriteString(lead)
		writeText(out, v.Key)
		out.WriteString(": ")
		writeText(out, v.Value)
		lead = ",\n  "
	}
	if len(vars) == 0 {
		out.WriteByte('{')
	}
	out.WriteString("\n}\n")
}

// writeText writes a string of JSON as an editor would: < and & are no harm outside of HTML.
func writeText(out *bufio.Writer, s string) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // every string can be written, and so can every buffer
	out.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
