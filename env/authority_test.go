package env_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
)

func TestAnAuthorityThatCanNeverIssue(t *testing.T) {
	ca, err := os.ReadFile("../internal/crl/testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	indented := func(text string) string {
		return "|\n        " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n        ")
	}
	whole := indented(string(ca))
	damaged := indented(strings.Replace(string(ca), "MII", "", 1))
	const place, half = "env.yml:4:11: appliance.ssl.acme.", " is nothing without it (give its value, or take "
	for _, tt := range []struct {
		name, acme string // in the fourth line
		want       []string
	}{
		{"a name with an asterisk by http-01", `{names: [www.example.org, "*.example.org"]}`, []string{
			"env.yml:4:37: appliance.ssl.acme.names[1]: a name with an asterisk cannot be proved by http-01 (set appliance.ssl.acme.challenge to dns-01, or take the name out)"}},
		{"a name with an asterisk by tls-alpn-01", `{challenge: tls-alpn-01, names: ["*.example.org"]}`, []string{
			"env.yml:4:44: appliance.ssl.acme.names[0]: a name with an asterisk cannot be proved by tls-alpn-01 (set appliance.ssl.acme.challenge to dns-01, or take the name out)"}},
		{"nobody writes the record", "{challenge: dns-01}", []string{
			place + "dns.provider: is missing: the challenge dns-01 needs somebody who writes the record (give exec, httpreq or rfc2136)"}},
		{"no program", "{challenge: dns-01, dns: {provider: exec, exec: {program: }}}", []string{
			"env.yml:4:69: appliance.ssl.acme.dns.exec.program: is missing: the provider exec calls it (give the path of the program)"}},
		{"no service", "{challenge: dns-01, dns: {provider: httpreq}}", []string{
			"env.yml:4:36: appliance.ssl.acme.dns.httpreq.endpoint: is missing: the provider httpreq asks it (give the address of the service)"}},
		{"no name server", "{challenge: dns-01, dns: {provider: rfc2136, rfc2136: {}}}", []string{
			"env.yml:4:65: appliance.ssl.acme.dns.rfc2136.nameserver: is missing: the provider rfc2136 updates it (give the name server)"}},
		{"a TSIG key without its secret", "{challenge: dns-01, dns: {provider: rfc2136, rfc2136: {nameserver: \"ns:53\", key: k}}}", []string{
			"env.yml:4:65: appliance.ssl.acme.dns.rfc2136.secret: is missing: key" + half + "key out)"}},
		{"a TSIG secret without its key", "{challenge: dns-01, dns: {provider: rfc2136, rfc2136: {nameserver: \"ns:53\", secret: c2VjcmV0}}}", []string{
			"env.yml:4:65: appliance.ssl.acme.dns.rfc2136.key: is missing: secret" + half + "secret out)"}},
		{"an external account without its key", "{eab: {kid: k}}", []string{
			"env.yml:4:17: appliance.ssl.acme.eab.hmac_key: is missing: kid" + half + "kid out)"}},
		{"the key of an external account that is not named", "{eab: {hmac_key: c2VjcmV0}}", []string{
			"env.yml:4:17: appliance.ssl.acme.eab.kid: is missing: hmac_key" + half + "hmac_key out)"}},
		{"trust that is damaged", "\n      ca_bundle: " + damaged, []string{
			"env.yml:5:18: appliance.ssl.acme.ca_bundle: holds a certificate that is cut off or damaged (copy the PEM text again, from BEGIN to END)"}},
		{"trust of which a part is damaged", "\n      ca_bundle: " + whole + "\n        -----BEGIN CERTIFICATE-----\n        MII=", []string{
			"env.yml:5:18: appliance.ssl.acme.ca_bundle: holds a certificate that is cut off or damaged (copy the PEM text again, from BEGIN to END)"}},
		{"what the schema refuses is told once", "{ca_bundle: x, challenge: dns-01, dns: {provider: x}}", []string{
			`env.yml:4:23: appliance.ssl.acme.ca_bundle: expected PEM text that begins with -----BEGIN CERTIFICATE-----, found the text "x" (write PEM text that begins with -----BEGIN CERTIFICATE-----)`,
			`env.yml:4:61: appliance.ssl.acme.dns.provider: expected exec, httpreq or rfc2136, found the text "x" (write exec, httpreq or rfc2136)`}},
		{"all of them", `{eab: {kid: k}, names: ["*.example.org"]}`, []string{
			"env.yml:4:17: appliance.ssl.acme.eab.hmac_key: is missing: kid" + half + "kid out)",
			"env.yml:4:35: appliance.ssl.acme.names[0]: a name with an asterisk cannot be proved by http-01 (set appliance.ssl.acme.challenge to dns-01, or take the name out)"}},

		{"nobody is asked", `{eab: {kid: k}, challenge: dns-01}` + "\n    letsencrypt: {enabled: false}", nil},
		{"a program that is not called", "{dns: {provider: exec}}", nil},
		{"a program", `{challenge: dns-01, names: ["*.example.org"], dns: {provider: exec, exec: {program: /p}}}`, nil},
		{"an update without a key", "{challenge: dns-01, dns: {provider: rfc2136, rfc2136: {nameserver: \"ns:53\"}}}", nil},
		{"trust", "\n      ca_bundle: " + whole, nil},
		{"trust with remarks", "\n      ca_bundle: " + whole + "\n        # of the house", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := parse(t, "appliance:\n  domain: box.example.org\n  ssl:\n    acme: "+tt.acme+"\n").Validate()
			var report *env.Report
			if err != nil && !errors.As(err, &report) {
				t.Fatal(err)
			}
			var got []string
			if report != nil {
				for _, p := range report.Problems {
					got = append(got, p.String())
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
