package front

import (
	"net/http"
	"strings"
)

// ours says whether a client must not send a header field of that name to the application, since the front sets it or
// applications trust it. Servers fold names on their way into variables (CGI, WSGI: `X_SSL_Client_Verify` becomes the same
// variable as `X-SSL-Client-Verify`), so whatever is neither letter nor digit counts as a hyphen.
func ours(name string) bool {
	// Nearly all names are decided by their first letter.
	if name == "" || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' && name[0]|0x20 != 'p' {
		return false
	}
	folded := foldName(name)
	switch folded {
	case "forwarded", "x-forwarded", "x-real-ip", "x-ssl-client",
		"proxy": // becomes HTTP_PROXY, by which programs choose a proxy of their own
		return true
	}
	return strings.HasPrefix(folded, "x-forwarded-") || strings.HasPrefix(folded, "x-ssl-client-")
}

func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
}

func dropOurs(h http.Header) {
	for name := range h {
		if ours(name) {
			delete(h, name)
		}
	}
}

// Field names as maps have them.
const (
	forwarded      = "Forwarded"
	forwardedFor   = "X-Forwarded-For"
	forwardedHost  = "X-Forwarded-Host"
	forwardedProto = "X-Forwarded-Proto"
	realIP         = "X-Real-Ip"
)

// tell sets what the application is told about the client, after all that a client could have a hand in is done.
func (x *exchange) tell(h http.Header) {
	proto := "http"
	if x.conn.tls != nil {
		proto = "https"
	}
	values := [...]string{x.conn.text, x.in.Host, proto, forwardedElement(x.conn.text, x.in.Host, proto)}
	h[forwardedFor], h[realIP] = values[0:1:1], values[0:1:1]
	h[forwardedHost], h[forwardedProto], h[forwarded] = values[1:2:2], values[2:3:3], values[3:4:4]
	if x.verdict == nil {
		return
	}
	for i, value := range x.verdict.header {
		if value != nil {
			h[clientFields[i]] = value
		}
	}
}

// forwardedElement is RFC 7239's: IPv6 addresses in brackets, and quotes around what is no token.
func forwardedElement(address, host, proto string) string {
	node := address
	if strings.Contains(address, ":") {
		node = `"[` + address + `]"`
	}
	return "for=" + node + `;host="` + quoted.Replace(host) + `";proto=` + proto
}

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
