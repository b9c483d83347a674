package env

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strconv"
	"strings"

	"appliance/env/yaml11"
)

// authority refuses settings of the ACME authority that can never work together, each of which the schema takes for itself.
// This is the place of these rules: a host would else find out only when a certificate is due.
func (v *validation) authority() {
	a := v.acme()
	if !a.Enabled {
		return
	}
	v.trust(a)
	v.pair(a.EABKeyID, a.EABKey, "eab", "kid", "hmac_key")
	if a.Challenge != "dns-01" {
		v.asterisks(a)
		return
	}
	switch a.Provider {
	case "":
		v.wants(a.Provider, "the challenge dns-01 needs somebody who writes the record", "exec, httpreq or rfc2136", "dns", "provider")
	case "exec":
		v.wants(a.Program, "the provider exec calls it", "the path of the program", "dns", "exec", "program")
	case "httpreq":
		v.wants(a.Endpoint, "the provider httpreq asks it", "the address of the service", "dns", "httpreq", "endpoint")
	case "rfc2136":
		v.wants(a.Nameserver, "the provider rfc2136 updates it", "the name server", "dns", "rfc2136", "nameserver")
		v.pair(a.TSIGKey, a.TSIGSecret, "dns", "rfc2136", "key", "secret")
	}
}

// asterisks refuses names that only a record in DNS can prove (RFC 8555 section 8.4 and RFC 8737).
func (v *validation) asterisks(a ACME) {
	names := []string{"appliance", "ssl", "acme", "names"}
	list := v.Top.Get(names...)
	if list == nil || list.Kind != yaml11.List {
		return
	}
	for i, name := range list.Items {
		if strings.HasPrefix(strings.TrimSpace(name.Text), "*.") {
			v.contradiction(name, append(names, strconv.Itoa(i)), "a name with an asterisk cannot be proved by "+a.Challenge,
				"set appliance.ssl.acme.challenge to dns-01, or take the name out")
		}
	}
}

// pair refuses one of two values that are nothing without each other. The last two of path name them.
func (v *validation) pair(first, second string, path ...string) {
	above, names := path[:len(path)-2], path[len(path)-2:]
	if first != "" && second == "" {
		v.wants("", names[0]+" is nothing without it", "its value, or take "+names[0]+" out", append(slices.Clone(above), names[1])...)
	}
	if first == "" && second != "" {
		v.wants("", names[1]+" is nothing without it", "its value, or take "+names[1]+" out", append(slices.Clone(above), names[0])...)
	}
}

// wants refuses that there is no value below appliance.ssl.acme, at the place that is nearest to where it should be.
func (v *validation) wants(value, why, what string, path ...string) {
	if value != "" {
		return
	}
	place := append([]string{"appliance", "ssl", "acme"}, path...)
	at := v.Top
	for n := len(place); n > 0; n-- {
		if found, known := v.Top.Locate(place[:n]); known {
			at = found
			break
		}
	}
	v.contradiction(at, place, "is missing: "+why, "give "+what)
}

// trust refuses a bundle with anything in it that is no certificate.
func (v *validation) trust(a ACME) {
	if a.CABundle == "" {
		return
	}
	place := []string{"appliance", "ssl", "acme", "ca_bundle"}
	whole, rest := 0, []byte(a.CABundle)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			whole++
		}
	}
	if begun := bytes.Count([]byte(a.CABundle), []byte("-----BEGIN ")); whole == 0 || whole < begun {
		at, _ := v.Top.Locate(place)
		v.contradiction(at, place, "holds a certificate that is cut off or damaged", "copy the PEM text again, from BEGIN to END")
	}
}

// contradiction reports what is wrong at a place where nothing else is.
func (v *validation) contradiction(at *yaml11.Value, place []string, message, remedy string) {
	if slices.ContainsFunc(v.problems, func(p Problem) bool { return p.Path == dotted(place) }) {
		return
	}
	v.add(at, place, message, remedy)
}
