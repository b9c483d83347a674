package create_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
	"appliance/env/create"
	"appliance/internal/remedy"
)

const domain = "ecs.example.org"

// born is when the keys of the tests are made: a round time in the past, for gpg refuses keys of the future.
func born() time.Time { return time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC) }

// made is one environment for all tests that only look at it.
var made = sync.OnceValues(func() (*create.Environment, error) {
	return create.New(context.Background(), create.Options{Domain: domain, Now: born()})
})

func environment(t *testing.T) *create.Environment {
	t.Helper()
	e, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// values answers the leaves of an environment by their flattened names, texts as they stand in the document.
func values(t *testing.T, data []byte) map[string]string {
	t.Helper()
	doc, err := env.Parse("env.yml", data)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := doc.Flatten("ssh_authorized_keys", "appliance", "ecs")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string, len(vars))
	for _, v := range vars {
		found[v.Key] = v.Value
	}
	return found
}

func TestANewEnvironmentIsValid(t *testing.T) {
	e := environment(t)
	doc, err := env.Parse("env.yml", e.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(); err != nil {
		t.Error(err)
	}
	for _, warning := range doc.Warnings() {
		t.Error(warning)
	}
	if !bytes.HasPrefix(e.Data, []byte("#cloud-config\n")) {
		t.Error("the first line is not #cloud-config")
	}
	want := map[string]string{
		"APPLIANCE_STANDBY": "false", "APPLIANCE_DOMAIN": domain, "APPLIANCE_SSL_LETSENCRYPT_ENABLED": "true",
		"APPLIANCE_STORAGE_IGNORE_DATA": "true", "APPLIANCE_UPDATE_AUTOMATIC": "true", "APPLIANCE_UPDATE_ONCALENDAR": "*-*-* 06:30:00",
		"ECS_GIT_BRANCH": "master", "ECS_DATABASE": "ecs", "ECS_USERSWITCHER_ENABLED": "false",
	}
	got := values(t, e.Data)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, not %q", key, got[key], value)
		}
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	lines := strings.Split(string(environment(t).Data), "\n")
	for _, key := range []string{"ssh_deprecated_keys:", "disable_root:", "appliance:", "  standby:", "  domain:", "    letsencrypt:",
		"    client_certs_mandatory:", "  metric:", "  extra:", "    automatic:", "    oncalendar:", "    ignore:", "    key:", "    url:",
		"    encrypt:", "ecs:", "  git:", "  database:", "  userswitcher:", "  settings:", "  vault_encrypt:", "  vault_sign:"} {
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, key) })
		if i < 0 || !strings.HasPrefix(strings.TrimSpace(lines[i-1]), "#") {
			t.Errorf("no comment above %s", key)
		}
	}
}

func TestEveryEnvironmentHasItsOwnSecrets(t *testing.T) {
	other, err := create.New(t.Context(), create.Options{Domain: domain, Now: born()})
	if err != nil {
		t.Fatal(err)
	}
	a, b := values(t, environment(t).Data), values(t, other.Data)
	for _, key := range []string{"APPLIANCE_DKIM_KEY", "APPLIANCE_BACKUP_ENCRYPT", "ECS_VAULT_ENCRYPT", "ECS_VAULT_SIGN"} {
		if a[key] == "" || a[key] == b[key] {
			t.Errorf("%s is the same in both", key)
		}
	}
	seen := map[string]bool{}
	for _, settings := range []string{a["ECS_SETTINGS"], b["ECS_SETTINGS"]} {
		for _, name := range []string{"\nSECRET_KEY", "\nREGISTRATION_SECRET", "\nPASSWORD_RESET_SECRET"} {
			_, rest, _ := strings.Cut(settings, name+` = "`)
			secret, _, _ := strings.Cut(rest, `"`)
			if len(secret) != 52 || seen[secret] {
				t.Errorf("%s has %d characters, used before: %v", strings.TrimSpace(name), len(secret), seen[secret])
			}
			seen[secret] = true
		}
	}
}

func TestDomain(t *testing.T) {
	tests := []struct{ name, domain, want string }{
		{"none", "", "cannot use the domain: expected a host name such as ecs.example.org, found empty text"},
		{"underscore", "ecs_1.example.org", `cannot use the domain: expected a host name such as ecs.example.org, found the text "ecs_1.example.org"`},
		{"international", "österreich.example.org", `cannot use the domain: expected a host name such as ecs.example.org, found the text "österreich.example.org"`},
		{"ends in a dot", "ecs.example.org.", `cannot use the domain: expected a host name such as ecs.example.org, found the text "ecs.example.org."`},
		{"breaks out of YAML", "a\"\n  standby: true #", `cannot use the domain: expected a host name such as ecs.example.org, found the text "a\"\n  standby: true #"`},
		{"no UTF-8", "a\xff", `cannot use the domain: expected a host name such as ecs.example.org, found the text "aÿ"`},
		{"too long", strings.Repeat("a", 60) + ".example", "cannot use the domain: expected at most 64 characters, found 68: it is the host's name, and Linux knows no longer one"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := create.New(t.Context(), create.Options{Domain: test.domain})
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if remedy.Of(err) == "" {
				t.Error("no remedy")
			}
		})
	}
}

func TestTheEndOfTheContextEndsTheWork(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := create.New(ctx, create.Options{Domain: domain, Now: born()}); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func TestDNS(t *testing.T) {
	e := environment(t)
	var got [][2]string
	for _, r := range e.DNS {
		got = append(got, [2]string{r.Name, r.Type})
	}
	want := [][2]string{
		{"ecs.example.org.", "A"}, {"ecs.example.org.", "AAAA"}, {"ecs.example.org.", "MX"}, {"ecs.example.org.", "TXT"},
		{"_dmarc.ecs.example.org.", "TXT"}, {"default._domainkey.ecs.example.org.", "TXT"}, {"1.2.0.192.in-addr.arpa.", "PTR"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(e.DNS.String()) {
		if !strings.Contains(string(e.Data), "\n# "+line) {
			t.Errorf("the comments lack %s", line)
		}
	}
}

func TestRecordAsZoneLine(t *testing.T) {
	tests := []struct {
		name   string
		record create.Record
		want   string
	}{
		{"address", create.Record{Name: "a.", Type: "A", Value: "192.0.2.1"}, "a. IN A 192.0.2.1"},
		{"short text", create.Record{Name: "a.", Type: "TXT", Value: "v=spf1 a mx -all"}, `a. IN TXT "v=spf1 a mx -all"`},
		{"250 characters", create.Record{Name: "a.", Type: "TXT", Value: strings.Repeat("x", 250)}, `a. IN TXT "` + strings.Repeat("x", 250) + `"`},
		{"251 characters", create.Record{Name: "a.", Type: "TXT", Value: strings.Repeat("x", 250) + "y"},
			"a. IN TXT (\n  \"" + strings.Repeat("x", 250) + "\"\n  \"y\" )"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.record.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := create.New(b.Context(), create.Options{Domain: domain, Now: born()}); err != nil {
			b.Fatal(err)
		}
	}
}
