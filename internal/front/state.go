// Package front answers visitors: TLS, the way to the application's containers, and a page that says what is going on
// while they do not answer.
//
// It is a process of its own, the worker, without rights on the host: whoever parses what strangers send must not be
// who drives the engine. The supervisor starts it, hands it the listening sockets, and tells it everything it needs to
// know as one State, whole at each change. Another worker can take the same sockets over at any time; the one before
// then serves what it has begun to its end.
package front

import (
	"time"

	"appliance/internal/front/page"
)

// State is everything a worker needs to know. It is replaced as a whole.
type State struct {
	Names       []string           `json:"names"`                 // of the site; the first is the one to be called by
	Certificate *KeyPair           `json:"certificate,omitempty"` // nil: TLS handshakes fail
	Challenges  map[string]string  `json:"challenges,omitempty"`  // ACME HTTP-01: token to key authorization
	ALPN        map[string]KeyPair `json:"alpn,omitempty"`        // ACME TLS-ALPN-01: name to certificate
	Open        bool               `json:"open"`                  // requests go to Routes; else everybody is shown Notice
	Routes      []Route            `json:"routes,omitempty"`
	Notice      page.Notice        `json:"notice"`
	Clients     Clients            `json:"clients"`
	// TLSPort is where visitors who come without TLS are sent to; 0 serves them the site as it is.
	TLSPort uint16 `json:"tls_port,omitempty"`
}

// KeyPair is a private key and the chain of its certificate, leaf first, both as PEM.
type KeyPair struct {
	Key   []byte `json:"key"`
	Chain []byte `json:"chain"`
}

// Route leads requests below a path to a service. The longest path that fits wins.
type Route struct {
	Path     string        `json:"path"` // "/" or "/app"; "/app" fits "/app" and "/app/…", not "/apple"
	Service  string        `json:"service"`
	Backends []string      `json:"backends,omitempty"` // "172.18.0.3:8080": containers that are ready, in no order
	Timeout  time.Duration `json:"timeout_ns"`         // how long the first byte of an answer may take
}

// How the front asks for client certificates.
const (
	ClientsNone     = ""         // it does not
	ClientsOptional = "optional" // who shows one must show a good one
	ClientsRequired = "required"
)

// Clients says which client certificates are good.
type Clients struct {
	Mode string `json:"mode,omitempty"`
	CAs  []byte `json:"cas,omitempty"`  // PEM
	CRLs []byte `json:"crls,omitempty"` // PEM; checked to be of CAs
}
