package env_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
	"appliance/env/yaml11"
)

func parseAs(t testing.TB, origin, data string) *env.Document {
	t.Helper()
	doc, err := env.Parse(origin, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// layered is an environment of three documents.
func layered(t testing.TB) *env.Document {
	t.Helper()
	merged, err := env.Merge(
		parseAs(t, "/app/env.yml", "#cloud-config\nappliance:\n  domain: old.example.org\n  standby: true\n  sentry: {dsn: https://user:word@sentry}\necs:\n  hosts: [a, b]\n  db.name: main\n"),
		parseAs(t, "/app/env.d/10-site.yml", "appliance:\n  domain: site.example.org\n  standby: null\n"),
		parseAs(t, "/app/env.d/20-last.yml", "ecs:\n  hosts: [c]\n  password: hunter22\n  pin: 12345678\n"))
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

func TestLayersMakeOneDocument(t *testing.T) {
	merged := layered(t)
	want := `#cloud-config
# Made of /app/env.yml, /app/env.d/10-site.yml, /app/env.d/20-last.yml: change it there.
appliance:
  domain: site.example.org
  sentry:
    dsn: https://user:word@sentry
ecs:
  hosts:
  - c
  db.name: main
  password: hunter22
  pin: 12345678
`
	if diff := cmp.Diff(want, string(merged.Data)); diff != "" {
		t.Error(diff)
	}
	if err := merged.Validate(); err != nil {
		t.Error(err)
	}
	if again := parseAs(t, "again", string(merged.Data)); !yaml11.Equal(again.Top, merged.Top) {
		t.Error("the document reads as something else than was merged")
	}
}

func TestABaseAloneStaysAsItIs(t *testing.T) {
	base := parseAs(t, "/app/env.yml", "#cloud-config\nappliance: {domain: x}  # mine\n")
	merged, err := env.Merge(base)
	if err != nil || merged != base {
		t.Errorf("got %v, %v", merged, err)
	}
}

func TestProblemsOfLayersNameTheirFile(t *testing.T) {
	merged, err := env.Merge(parseAs(t, "env.yml", "#cloud-config\nappliance:\n  domain: x\n  standby: perhaps\n"),
		parseAs(t, "10.yml", "appliance:\n  update: {automatik: true}\n  domain: x\n  domain: y\necs: {mode: 0600}\n"))
	if err != nil {
		t.Fatal(err)
	}
	problems := fmt.Sprint(merged.Validate())
	for _, want := range []string{"env.yml:4:12: appliance.standby", "10.yml:2:12: appliance.update.automatik: unknown key; did you mean", "10.yml:4:3: the same key"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%q is missing in\n%s", want, problems)
		}
	}
	if warnings := fmt.Sprint(merged.Warnings()); !strings.Contains(warnings, "10.yml:5:13: ecs.mode") || strings.Contains(warnings, "#cloud-config") {
		t.Error(warnings)
	}
}

func TestFind(t *testing.T) {
	merged := layered(t)
	tests := []struct{ key, file, value string }{
		{"appliance.domain", "/app/env.d/10-site.yml", "site.example.org"},
		{"ecs.hosts[0]", "/app/env.d/20-last.yml", "c"},
		{"ecs.hosts.0", "/app/env.d/20-last.yml", "c"},
		{"ecs.db.name", "/app/env.yml", "main"},
		{"appliance.standby", "", ""},
		{"ecs.hosts[1]", "", ""},
		{"ecs.hosts[-1]", "", ""},
	}
	for _, tt := range tests {
		_, v, ok := merged.Find(tt.key)
		if ok != (tt.file != "") || ok && (v.File != tt.file || v.Text != tt.value) {
			t.Errorf("%s: got %v, %v", tt.key, v, ok)
		}
	}
	var given []string
	for _, g := range merged.Given([]string{"appliance", "domain"}) {
		given = append(given, fmt.Sprintf("%s:%d %s", g.Value.File, g.Value.Line, g.Value.Text))
	}
	if diff := cmp.Diff([]string{"/app/env.d/10-site.yml:2 site.example.org", "/app/env.yml:3 old.example.org"}, given); diff != "" {
		t.Error(diff)
	}
}

func TestShowHidesSecrets(t *testing.T) {
	merged := layered(t)
	origin := func(v *yaml11.Value) string { return fmt.Sprintf("%s:%d", v.File, v.Line) }
	got, err := merged.Show(false, origin)
	if err != nil {
		t.Fatal(err)
	}
	want := `#cloud-config
appliance:
  domain: site.example.org # /app/env.d/10-site.yml:2
  sentry:
    dsn: "[secret]" # /app/env.yml:5
ecs:
  # /app/env.d/20-last.yml:2
  hosts:
  - c
  db.name: main # /app/env.yml:8
  password: "[secret]" # /app/env.d/20-last.yml:3
  pin: 12345678 # /app/env.d/20-last.yml:4
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	revealed, err := merged.Show(true, nil)
	if err != nil || !strings.Contains(string(revealed), "hunter22") || !strings.Contains(string(revealed), "user:word") {
		t.Errorf("got\n%s, %v", revealed, err)
	}
	for _, secret := range merged.Secrets() {
		if strings.Contains(string(got), secret) {
			t.Errorf("shows a secret of %d bytes", len(secret))
		}
	}
}

func TestAddressesWithPasswordsAreSecret(t *testing.T) {
	doc := parse(t, "appliance: {domain: x}\necs: {db: {url: 'postgres://app:dbpw12345@db/ecs'}, site: 'https://x.example.org/a:b@c', mail: 'a@b.example.org'}\nruncmd: ['curl -u bob:bobpw123 x']\n")
	shown, err := doc.Show(false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"dbpw12345", "bobpw123"} {
		if strings.Contains(string(shown), secret) || !strings.Contains(strings.Join(doc.Secrets(), "\n"), secret) {
			t.Errorf("%s is shown, or not masked", secret)
		}
	}
	if !strings.Contains(string(shown), "https://x.example.org/a:b@c") || !strings.Contains(string(shown), "a@b.example.org") {
		t.Errorf("what is no secret is hidden:\n%s", shown)
	}
}

func TestBriefIsNotObeyedByATerminal(t *testing.T) {
	doc := parse(t, "appliance: {domain: x}\necs: {a: \"a\\e[2J\\a\", b: "+strings.Repeat("x", 10000)+"}\n")
	for _, key := range []string{"ecs.a", "ecs.b"} {
		path, v, _ := doc.Find(key)
		if text, _ := doc.Brief(path, v); strings.ContainsAny(text, "\x1b\a") || len(text) > 300 {
			t.Errorf("%s is told as %q", key, text)
		}
	}
}

// Laid over each other, layers expand the aliases of all: what may be read may also be written out.
func TestLayersAreBounded(t *testing.T) {
	list := "x0: &x0 [a]\n"
	for i := 1; i <= 4; i++ {
		list += fmt.Sprintf("x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10), ", "))
	}
	list += "appliance: {domain: x}\necs: [*x4, *x4, *x4, *x4]\n"
	big := parseAs(t, "a.yml", list)
	layers := []*env.Document{big, big, big}
	if _, err := env.Merge(big, layers...); err == nil || !strings.Contains(err.Error(), "together they hold too much") {
		t.Errorf("got %v", err)
	}
	nulls := "ecs:\n"
	for i := range 40000 {
		nulls += fmt.Sprintf("  k%d: ~\n", i)
	}
	base := parseAs(t, "base.yml", "appliance: {domain: x}\n"+strings.ReplaceAll(nulls, "~", "1"))
	begun := time.Now()
	if _, err := env.Merge(base, parseAs(t, "nulls.yml", nulls)); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 10*time.Second { // a tenth of a second on an idle machine
		t.Errorf("taking 40000 keys away took %s", took)
	}
}
