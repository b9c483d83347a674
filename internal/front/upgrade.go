package front

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// changesHTTP says whether an upgrade leads to another HTTP, or TLS, where requests could reach the application past
// the front: with header fields that only the front may set.
func changesHTTP(upgrades []string) bool {
	for _, list := range upgrades {
		for word := range strings.SplitSeq(strings.ToLower(list), ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(word), "/")
			if name == "h2c" || name == "h2" || name == "http" || name == "tls" {
				return true
			}
		}
	}
	return false
}

// Hijack implements http.Hijacker. What the client has sent before it was told that the protocol is switched, and
// net/http has read already, is the first to be read from the connection.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, both, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err == nil {
		x.status, x.upgraded = http.StatusSwitchingProtocols, true
	}
	if err != nil || both.Reader.Buffered() == 0 {
		return c, both, err
	}
	early, err := both.Reader.Peek(both.Reader.Buffered())
	return &tunnel{Conn: c, first: bytes.NewReader(bytes.Clone(early))}, both, err
}

// tunnel is a connection of which something was read before.
type tunnel struct {
	net.Conn
	first *bytes.Reader
}

// Read implements net.Conn.
func (t *tunnel) Read(p []byte) (int, error) {
	if n, err := t.first.Read(p); err != io.EOF {
		return n, err
	}
	return t.Conn.Read(p)
}

// CloseWrite says that nothing more will be sent.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
