package env

import (
	"strings"
	"time"

	"appliance/env/yaml11"
)

// Who answers visitors.
const (
	FrontBuiltin  = "builtin"
	FrontExternal = "external"
	FrontOff      = "off"
)

// Site is what the environment says of the way visitors come in.
type Site struct {
	Front      string   // FrontBuiltin, FrontExternal or FrontOff
	FrontSet   bool     // the environment says so; it is not only the default
	Plain, TLS []string // addresses to listen on, such as ":443"
	ListenSet  bool     // the environment names addresses; the above are not only defaults
	Vendor     string
	Contact    string
	Language   string // "en" or "de"
	Clients    string // certificates of visitors: "optional", "required"
	Names      []string
	Key, Chain string // supplied, PEM
	ACME       ACME
}

// ACME says which authority certificates come from, and how.
type ACME struct {
	Enabled     bool
	Directory   string
	Chosen      bool // the environment names the directory; the above is not only the default
	CABundle    string
	Email       string
	EABKeyID    string
	EABKey      string
	KeyType     string
	Challenge   string
	Provider    string // of DNS records
	Propagation time.Duration
	Program     string
	Endpoint    string
	User        string
	Password    string
	Nameserver  string
	TSIGKey     string
	TSIGSecret  string
	TSIGAlg     string
}

// The directories of Let's Encrypt.
const (
	productionDirectory = "https://acme-v02.api.letsencrypt.org/directory"
	stagingDirectory    = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

func (d *Document) site() Site {
	s := Site{Front: d.text(FrontBuiltin, "appliance", "front"), FrontSet: d.given("appliance", "front"),
		Plain: d.list([]string{":80"}, "appliance", "listen", "http"), TLS: d.list([]string{":443"}, "appliance", "listen", "https"),
		ListenSet: d.given("appliance", "listen", "http") || d.given("appliance", "listen", "https"),
		Vendor:    d.text("", "appliance", "page", "vendor"), Contact: d.text("", "appliance", "page", "contact"),
		Language: d.text("en", "appliance", "page", "language"),
		Key:      d.text("", "appliance", "ssl", "key"), Chain: d.text("", "appliance", "ssl", "cert"),
		ACME: d.acme(),
	}
	if s.Front == "false" { // YAML's reading of an unquoted off
		s.Front = FrontOff
	}
	clients := "optional"
	if d.flag("appliance", "ssl", "client_certs_mandatory") {
		clients = "required"
	}
	s.Clients = d.text(clients, "appliance", "ssl", "client_certs")
	s.Names = append([]string{d.domain()}, d.list(nil, "appliance", "ssl", "acme", "names")...)
	return s
}

func (d *Document) acme() ACME {
	at := func(def string, path ...string) string {
		return d.text(def, append([]string{"appliance", "ssl", "acme"}, path...)...)
	}
	a := ACME{Enabled: true, Directory: at(productionDirectory, "directory"), Chosen: d.given("appliance", "ssl", "acme", "directory"),
		CABundle: at("", "ca_bundle"), Email: at("", "email"), EABKeyID: at("", "eab", "kid"), EABKey: at("", "eab", "hmac_key"),
		KeyType: at("ec256", "key_type"), Challenge: at("http-01", "challenge"),
		Provider: at("", "dns", "provider"), Program: at("", "dns", "exec", "program"),
		Endpoint: at("", "dns", "httpreq", "endpoint"), User: at("", "dns", "httpreq", "user"), Password: at("", "dns", "httpreq", "password"),
		Nameserver: at("", "dns", "rfc2136", "nameserver"), TSIGKey: at("", "dns", "rfc2136", "key"),
		TSIGSecret: at("", "dns", "rfc2136", "secret"), TSIGAlg: at("hmac-sha256", "dns", "rfc2136", "algorithm"),
	}
	if d.given("appliance", "ssl", "letsencrypt", "enabled") {
		a.Enabled = d.flag("appliance", "ssl", "letsencrypt", "enabled")
	}
	if d.flag("appliance", "ssl", "acme", "staging") {
		a.Directory, a.Chosen = stagingDirectory, true
	}
	a.Propagation, _ = time.ParseDuration(at("2m", "dns", "propagation")) // the schema has seen it
	return a
}

// given says whether the environment has a value there.
func (d *Document) given(path ...string) bool {
	v := d.Top.Get(path...)
	return v != nil && v.Kind != yaml11.Null && (v.Kind != yaml11.Text || yaml11.Strip(v.Text) != "")
}

// text is the scalar at path without blanks around it, or def where there is none.
func (d *Document) text(def string, path ...string) string {
	if !d.given(path...) {
		return def
	}
	v := d.Top.Get(path...)
	return yaml11.Strip(v.Text)
}

// list is the texts at path, or def where there is no list.
func (d *Document) list(def []string, path ...string) []string {
	v := d.Top.Get(path...)
	if v == nil || v.Kind != yaml11.List {
		return def
	}
	texts := []string{}
	for _, item := range v.Items {
		if text := strings.TrimSpace(item.Text); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}
