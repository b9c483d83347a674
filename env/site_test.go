package env

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSite(t *testing.T) {
	parse := func(text string) Site {
		t.Helper()
		doc, err := Parse("env.yml", []byte("#cloud-config\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Validate(); err != nil {
			t.Fatal(err)
		}
		return doc.Settings().Site
	}
	defaults := Site{Front: FrontBuiltin, Plain: []string{":80"}, TLS: []string{":443"}, Language: "en", Clients: "optional",
		Names: []string{"box.example.org"}, ACME: ACME{Enabled: true, Directory: productionDirectory, KeyType: "ec256", Challenge: "http-01",
			Propagation: 2 * time.Minute, TSIGAlg: "hmac-sha256"}}
	for _, c := range []struct {
		name, text string
		alter      func(*Site)
	}{
		{"defaults", "", func(*Site) {}},
		{"off as YAML reads it", "  front: off\n", func(s *Site) { s.Front, s.FrontSet = FrontOff, true }},
		{"external", "  front: external\n", func(s *Site) { s.Front, s.FrontSet = FrontExternal, true }},
		{"addresses", "  listen: {http: [], https: [\" 127.0.0.1:8443 \"]}\n", func(s *Site) {
			s.Plain, s.TLS, s.ListenSet = []string{}, []string{"127.0.0.1:8443"}, true
		}},
		{"page", "  page: {vendor: Example Ltd., contact: a@example.org, language: de}\n", func(s *Site) {
			s.Vendor, s.Contact, s.Language = "Example Ltd.", "a@example.org", "de"
		}},
		{"client certificates, the predecessor's key", "  ssl: {client_certs_mandatory: true}\n", func(s *Site) { s.Clients = "required" }},
		{"client certificates, both keys", "  ssl: {client_certs_mandatory: true, client_certs: optional}\n", func(*Site) {}},
		{"no authority", "  ssl: {letsencrypt: {enabled: false}}\n", func(s *Site) { s.ACME.Enabled = false }},
		{"an authority that is not on", "  ssl: {letsencrypt: {enabled: null}}\n", func(*Site) {}},
		{"staging", "  ssl: {acme: {staging: true, directory: \"https://ca.example.org/\"}}\n", func(s *Site) {
			s.ACME.Directory, s.ACME.Chosen = stagingDirectory, true
		}},
		{"an authority of one's own", `  ssl:
    acme:
      directory: https://ca.example.org/directory
      email: admin@example.org
      names: [www.example.org, "*.example.org"]
      eab: {kid: kid-1, hmac_key: c2VjcmV0}
      key_type: rsa2048
      challenge: dns-01
      dns: {provider: rfc2136, propagation: 5m, rfc2136: {nameserver: "ns1.example.org:53", key: k., secret: c2VjcmV0}}
`, func(s *Site) {
			s.Names = append(s.Names, "www.example.org", "*.example.org")
			a := &s.ACME
			a.Directory, a.Chosen, a.Email, a.EABKeyID, a.EABKey = "https://ca.example.org/directory", true, "admin@example.org", "kid-1", "c2VjcmV0"
			a.KeyType, a.Challenge, a.Provider, a.Propagation = "rsa2048", "dns-01", "rfc2136", 5*time.Minute
			a.Nameserver, a.TSIGKey, a.TSIGSecret = "ns1.example.org:53", "k.", "c2VjcmV0"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := defaults
			c.alter(&want)
			if diff := cmp.Diff(want, parse("appliance:\n  domain: box.example.org\n"+c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
