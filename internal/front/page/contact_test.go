package page

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinks(t *testing.T) {
	for _, test := range []struct {
		name, contact string
		want          []piece
	}{
		{"nothing", "", nil},
		{"only text", "at the front desk", []piece{{Text: "at the front desk"}}},
		{"mail and telephone", "support@example.org, +43 1 234567", []piece{
			{"support@example.org", "mailto:support@example.org"}, {Text: ", "}, {"+43 1 234567", "tel:+431234567"}}},
		{"a sentence", "Write to help.desk+box@mail.example.org.", []piece{
			{Text: "Write to "}, {"help.desk+box@mail.example.org", "mailto:help.desk+box@mail.example.org"}, {Text: "."}}},
		{"the web", "see https://status.example.org:8443/a/b?c=d#e.", []piece{
			{Text: "see "}, {"https://status.example.org:8443/a/b?c=d#e", "https://status.example.org:8443/a/b?c=d#e"}, {Text: "."}}},
		{"in brackets", "(https://example.org/help)", []piece{{Text: "("}, {"https://example.org/help", "https://example.org/help"}, {Text: ")"}}},
		{"at home", "01/234 567-8", []piece{{"01/234 567-8", "tel:012345678"}}},
		{"the zero for those at home", "+43 (0)1 234567", []piece{{"+43 (0)1 234567", "tel:+431234567"}}},
		{"two numbers in one are none", "01 234567 / 0664 12345678", []piece{{Text: "01 234567 / 0664 12345678"}}},
		{"no number", "Mo-Fr 08:00-16:30, room 0815", []piece{{Text: "Mo-Fr 08:00-16:30, room 0815"}}},
		{"without protection", "http://example.org", []piece{{Text: "http://example.org"}}},
		{"a script", "javascript:alert(1) data:text/html,x", []piece{{Text: "javascript:alert(1) data:text/html,x"}}},
		{"a user before the host is none of it", "https://bank.example@evil.example/", []piece{
			{"https://bank.example", "https://bank.example"}, {Text: "@evil.example/"}}},
		{"no header of a mail", "a@example.org?bcc=b@example.org", []piece{
			{"a@example.org", "mailto:a@example.org"}, {Text: "?bcc="}, {"b@example.org", "mailto:b@example.org"}}},
		{"quotes end it", `https://example.org/"onclick="x`, []piece{{"https://example.org/", "https://example.org/"}, {Text: `"onclick="x`}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := links(test.contact)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func FuzzLinks(f *testing.F) {
	f.Add("support@example.org, +43 1 234567 https://example.org/a?b#c")
	f.Fuzz(func(t *testing.T, contact string) {
		var whole strings.Builder
		for _, p := range links(contact) {
			whole.WriteString(p.Text)
			scheme, rest, _ := strings.Cut(string(p.Href), ":")
			if p.Href != "" && (strings.ContainsAny(rest, "\"'<>`\\ \n\r\t") || scheme != "https" && scheme != "mailto" && scheme != "tel") {
				t.Errorf("%q leads to %q", p.Text, p.Href)
			}
		}
		if whole.String() != contact {
			t.Errorf("%q became %q", contact, whole.String())
		}
	})
}
