package front

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// redirect sends a visitor to the same place with TLS, and nowhere that somebody else could have chosen.
func (x *exchange) redirect() {
	host := x.view.hostFor(x.in.Host)
	if host == "" {
		x.server.board.ServeHTTP(x, x.in)
		return
	}
	if port := x.view.tlsPort; port != 443 {
		host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(int(port)))
	}
	target := "https://" + host + x.in.URL.EscapedPath()
	if x.in.URL.RawQuery != "" {
		target += "?" + visible(x.in.URL.RawQuery)
	}
	x.Header().Set("Location", target)
	x.Header().Set("Content-Length", "0")
	x.WriteHeader(http.StatusPermanentRedirect)
}

// hostFor is the name that a visitor who asked for host is to be sent to; "" is none.
func (v *view) hostFor(asked string) string {
	name := hostOnly(asked)
	if slices.Contains(v.names, name) {
		return name
	}
	if len(v.names) == 0 || len(v.names) == 1 && v.names[0] == "localhost" { // has no name to be called by
		if strings.Contains(name, ":") && net.ParseIP(name) != nil {
			return "[" + name + "]"
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && name != "" {
			return name
		}
	}
	if len(v.names) == 0 {
		return ""
	}
	return v.names[0]
}

// visible escapes what is not printable ASCII; the rest of a query is its owner's.
func visible(text string) string {
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var out strings.Builder
	for i := range len(text) {
		if c := text[i]; hidden(rune(c)) {
			out.WriteString("%" + strings.ToUpper(strconv.FormatUint(0x100+uint64(c), 16)[1:]))
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func hidden(r rune) bool { return r <= ' ' || r > '~' }
