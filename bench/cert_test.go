package bench

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"appliance/internal/cert/acme/acmetest"
)

// issues measures certificates from nothing: a new account, one name proved by http-01 for real, key and chain on the
// disk, each a whole process.
func (s *suite) issues(p plan, a *authority, clients ...acmeClient) {
	issue := "certificate from a local authority" + a.manner
	var turns []turn
	for _, c := range clients {
		turns = append(turns, func(record recorder) { record(series{issue, c.who, "ms"}, a.issue(c)) })
	}
	s.measure(p, turns...)
	own := s.report.find(issue, clients[0].who)
	for _, peer := range clients[1:] {
		if row := s.report.find(issue, peer.who); peer.factor < 1 {
			s.report.judge(own, row, peer.factor)
		} else {
			own.requireBeside(row, peer.factor)
		}
	}
}

// judge notes what a row has to keep to beside the requirement that it shows.
func (r *Report) judge(row, peer *Row, factor float64) {
	limit := Row{Summary: row.Summary}
	limit.requireBeside(peer, factor)
	r.note("%s, %s, %s: %s", row.What, row.Who, limit.Requirement.Text, limit.Requirement)
}

// authority is where certificates come from.
type authority struct {
	*suite
	manner  string // in which it differs from one that answers at once and names no pause
	url     string
	bundle  string // file with what its https is checked with
	address string // where it looks for http-01
}

// newAuthority names pauses of whole seconds between questions, or none: then what is measured is the clients.
func (s *suite) newAuthority(pause int) *authority {
	ca := acmetest.New(s.tb, acmetest.Options{RetryAfter: pause})
	a := &authority{suite: s, url: ca.DirectoryURL, bundle: filepath.Join(s.tb.TempDir(), "ca.pem"), address: fmt.Sprintf("127.0.0.1:%d", ca.HTTPPort)}
	if pause > 0 {
		a.manner = fmt.Sprintf(" that asks for pauses of %d s", pause)
	}
	if err := os.WriteFile(a.bundle, []byte(ca.CABundle), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	return a
}

// issue answers how many milliseconds a certificate took.
func (a *authority) issue(c acmeClient) float64 {
	a.tb.Helper()
	dir, err := os.MkdirTemp(a.tb.TempDir(), "client")
	if err != nil {
		a.tb.Fatal(err)
	}
	if c.webroot != "" {
		defer a.serve(filepath.Join(dir, c.webroot))()
	}
	took := timed(a.tb, c.command(dir))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, c.chain), filepath.Join(dir, c.key))
	if err == nil {
		err = pair.Leaf.VerifyHostname(siteName)
	}
	if err != nil {
		a.tb.Fatalf("%s has left no good pair: %v", c.who, err)
	}
	return took
}

// serve shows files to the authority, as the web server of a host would.
func (a *authority) serve(dir string) (stop func()) {
	a.tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		a.tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", a.address)
	if err != nil {
		a.tb.Fatal(err)
	}
	handler := http.StripPrefix("/.well-known/acme-challenge/", http.FileServerFS(os.DirFS(dir)))
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // it ends by stop
	return func() { _ = server.Close() }
}
