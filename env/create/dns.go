package create

import (
	"fmt"
	"strings"
)

// Selector is the name under which the public DKIM key stands in the DNS, below _domainkey: the one that the mail
// server of the host signs with.
const Selector = "default"

// Addresses of documentation (RFC 5737, RFC 3849) stand for those of the host, which nobody knows yet.
const (
	exampleIPv4    = "192.0.2.1"
	exampleReverse = "1.2.0.192.in-addr.arpa."
	exampleIPv6    = "2001:db8::1"
)

// Record is one DNS record. Name is absolute and ends in a dot. Value is what the record says: of type TXT the plain
// text, as the form of a provider takes it, neither quoted nor split.
type Record struct {
	Name, Type, Value string
}

// maxString is the longest string, in bytes, that a TXT record is split into. The DNS allows 255; some providers less.
const maxString = 250

// String answers the record as a zone file has it: one line, or several in parentheses where a text had to be split.
func (r Record) String() string {
	head := fmt.Sprintf("%s IN %s ", r.Name, r.Type)
	if r.Type != "TXT" {
		return head + r.Value
	}
	rest, parts := r.Value, []string(nil)
	for len(rest) > maxString {
		parts, rest = append(parts, `"`+rest[:maxString]+`"`), rest[maxString:]
	}
	parts = append(parts, `"`+rest+`"`)
	if len(parts) == 1 {
		return head + parts[0]
	}
	return head + "(\n  " + strings.Join(parts, "\n  ") + " )"
}

// Zone is a list of records.
type Zone []Record

// String answers the lines of a zone file, each ended by a newline. They need no $ORIGIN and no order, but a $TTL.
func (z Zone) String() string {
	var b strings.Builder
	for _, r := range z {
		b.WriteString(r.String() + "\n")
	}
	return b.String()
}

// zone lists what mail to and from a domain needs. The public key is DER in base64.
func zone(domain, publicKey string) Zone {
	at := domain + "."
	return Zone{
		{at, "A", exampleIPv4},
		{at, "AAAA", exampleIPv6},
		{at, "MX", "10 " + at},
		{at, "TXT", "v=spf1 a mx -all"},
		{"_dmarc." + at, "TXT", "v=DMARC1; p=quarantine"},
		{Selector + "._domainkey." + at, "TXT", "v=DKIM1; k=rsa; s=email; p=" + publicKey},
		{exampleReverse, "PTR", at},
	}
}
