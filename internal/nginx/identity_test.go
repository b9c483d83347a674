package nginx

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnOperatorsTemplate(t *testing.T) {
	h := newHost(t)
	h.set(TemplateFile, "server_name ##ALLOWED_HOSTS##; ssl_verify_client ##VERIFY_CLIENT##; # ##ALLOWED_HOSTS## $1 \\1 &\n")
	w := wish
	w.Routes = []Route{{Path: "not its business"}}
	for clients, word := range map[string]string{ClientsNone: "off", ClientsOptional: "optional", ClientsRequired: "on"} {
		w.Clients = clients
		h.converge(w)
		want := fmt.Sprintf("server_name ecs.example.org www.example.org; ssl_verify_client %s; # ecs.example.org www.example.org $1 \\1 &\n", word)
		if diff := cmp.Diff(want, h.get(IdentityFile)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// The predecessor's template names the files that its application writes. A torn one of them would keep nginx from starting.
func TestThePredecessorsTemplateGetsTheLastGoodList(t *testing.T) {
	const ca, crl = "ssl_client_certificate /app/etc/ca.cert.pem;\n", "ssl_crl /app/etc/crl.pem;\n"
	const goodCA, goodCRL = "ssl_client_certificate /app/etc/cert/clients/bundle.pem;\n", "ssl_crl /app/etc/cert/clients/bundle.pem;\n"
	for revocation, want := range map[bool]string{true: goodCA + goodCRL, false: ca + crl} {
		h := newHost(t)
		h.set(TemplateFile, ca+crl)
		w := wish
		w.Revocation = revocation
		h.converge(w)
		if diff := cmp.Diff(want, h.get(IdentityFile)); diff != "" {
			t.Errorf("with lists %v (-want +got):\n%s", revocation, diff)
		}
	}
}

func TestWhatIsNotTold(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:5000")
	for _, test := range []struct {
		name string
		wish Wish
		want string
	}{
		{"no name", Wish{}, "it has no name"},
		{"a way to ask that is none", Wish{Names: []string{"a.example"}, Clients: "on; include /etc/passwd"}, "is no way to ask for them"},
		{"a name that ends the line", Wish{Names: []string{"a.example; return 200"}}, "is no name of one"},
		{"a name of two lines", Wish{Names: []string{"a.example\nb.example"}}, "is no name of one"},
		{"a pattern", Wish{Names: []string{`~^(.*)$`}}, "is no name of one"},
		{"a variable", Wish{Names: []string{"$host"}}, "is no name of one"},
		{"an empty name", Wish{Names: []string{""}}, "is no name of one"},
		{"a name without end", Wish{Names: []string{strings.Repeat("a.", 200) + "example"}}, "is no name of one"},
		{"a path with a brace", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "/ { }", Address: at}}}, "is not made of letters"},
		{"a path of two lines", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "/a\n", Address: at}}}, "is not made of letters"},
		{"a path that leads up", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "/a/..", Address: at}}}, "is not made of letters"},
		{"a path without a root", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "a", Address: at}}}, "is not made of letters"},
		{"a path with two slashes", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "/a//b", Address: at}}}, "is not made of letters"},
		{"no port", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "/"}}}, "its service publishes no port on this host"},
		{"an address with a zone", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "/", Address: netip.MustParseAddrPort("[fe80::1%x;]:80")}}}, "publishes no port"},
		{"a path twice", Wish{Names: []string{"a.example"}, Routes: []Route{{Path: "/a", Address: at}, {Path: "/a/", Address: at}}}, "two have the path of location"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			if err := h.Apply(t.Context(), test.wish); err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "cannot ") {
				t.Errorf("%v", err)
			}
			if _, err := h.Missing(t.Context(), test.wish); err == nil {
				t.Error("looking does not see it")
			}
			if len(h.effects) != 0 {
				t.Errorf("it was seen too late: %v", h.effects)
			}
		})
	}
}
