package env_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
)

func TestValidateRefuses(t *testing.T) {
	tests := []struct {
		name, data string
		want       []string
	}{
		{"nothing for the appliance", "other: 1\n", []string{
			"env.yml:1:1: appliance: is missing (add the line 'appliance:' with its value)"}},
		{"empty appliance", "appliance:\n", []string{
			"env.yml:1:11: appliance: expected a mapping, found nothing (write its keys on lines of their own, indented below it)"}},
		{"no domain", "appliance:\n  standby: yes\n", []string{
			"env.yml:2:3: appliance.domain: is missing (add the line 'domain:' with its value)"}},
		{"empty domain", "appliance:\n  domain:\n", []string{
			"env.yml:2:10: appliance.domain: expected a host name such as ecs.example.org, found nothing (write a host name such as ecs.example.org)"}},
		{"domain with a path", "appliance:\n  domain: ecs.example.org/x\n", []string{
			`env.yml:2:11: appliance.domain: expected a host name such as ecs.example.org, found the text "ecs.example.org/x" (write a host name such as ecs.example.org)`}},
		{"domain that Linux refuses", "appliance:\n  domain: " + strings.Repeat("a", 61) + ".org\n", []string{
			"env.yml:2:11: appliance.domain: expected at most 64 characters, found 65: it is the host's name, and Linux knows no longer one (choose a shorter one)"}},
		{"domain that is a number", "appliance:\n  domain: 12:30\n", []string{
			"env.yml:2:11: appliance.domain: expected a host name such as ecs.example.org, found number 750 (put the value in quotes)"}},
		{"misspelt key", "appliance:\n  domian: x\n  domain: x\n", []string{
			`env.yml:2:3: appliance.domian: unknown key; did you mean "domain"? (write domain)`}},
		{"key at the wrong place", "appliance:\n  domain: x\n  oncalendar: daily\n", []string{
			`env.yml:3:3: appliance.oncalendar: unknown key; did you mean "appliance.update.oncalendar"? (write appliance.update.oncalendar)`}},
		{"key in another manner", "appliance:\n  domain: x\n  ssl: {clientCertsMandatory: yes}\n", []string{
			`env.yml:3:9: appliance.ssl.clientCertsMandatory: unknown key; did you mean "client_certs_mandatory"? (write client_certs_mandatory)`}},
		{"key of its own", "appliance:\n  domain: x\n  favourite_colour: red\n", []string{
			"env.yml:3:3: appliance.favourite_colour: unknown key (remove it; keys of the application belong below ecs)"}},
		{"no truth value", "appliance:\n  domain: x\n  standby: maybe\n", []string{
			`env.yml:3:12: appliance.standby: expected true or false, found the text "maybe" (write true or false)`}},
		{"list expected", "appliance:\n  domain: x\n  extra: {packages: htop}\n", []string{
			`env.yml:3:21: appliance.extra.packages: expected a list, found the text "htop" (write each item on a line of its own, after '- ')`}},
		{"mapping expected", "appliance:\n  domain: x\n  storage: [a]\n", []string{
			"env.yml:3:12: appliance.storage: expected a mapping, found a list (write a mapping)"}},
		{"text expected", "appliance:\n  domain: x\n  git:\n    branch: 1.10\n", []string{
			"env.yml:4:13: appliance.git.branch: expected text, found number 1.1 (put the value in quotes)"}},
		{"not a number expected", "appliance:\n  domain: x\n  extra: {files: [{path: /x, permissions: .inf}]}\n", []string{
			`env.yml:3:43: appliance.extra.files[0].permissions: expected an octal mode in quotes such as "0600", found number inf (put the value in quotes)`}},
		{"all of them, by line", "appliance:\n  domain: x\n  standby: 1\n  update:\n    oncalendar: 12:30\n  extra:\n    files:\n    - path: etc/motd\n    - contents: x\n", []string{
			"env.yml:3:12: appliance.standby: expected true or false, found number 1 (write true or false)",
			"env.yml:5:17: appliance.update.oncalendar: expected text, found number 750 (put the value in quotes)",
			`env.yml:8:13: appliance.extra.files[0].path: expected an absolute path such as /etc/motd, found the text "etc/motd" (write an absolute path such as /etc/motd)`,
			"env.yml:9:7: appliance.extra.files[1].path: is missing (add the line 'path:' with its value)"}},
		{"key twice", "appliance:\n  domain: a\n  standby: no\n  domain: b\n", []string{
			"env.yml:4:3: the same key stands in line 2 and in line 4 (remove one of the two; only the last one would count)"}},
		{"keys that are not text", "appliance:\n  domain: x\n  on: 1\necs:\n  a: [{1: x}]\nother: {1: x}\n", []string{
			"env.yml:3:3: a key must be text, found a truth value (put the key in quotes)",
			"env.yml:5:8: a key must be text, found a number (put the key in quotes)"}},
		{"value by alias", "x: &x [1]\nappliance:\n  domain: *x\n", []string{
			"env.yml:1:4: appliance.domain: expected a host name such as ecs.example.org, found a list (write a host name such as ecs.example.org)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var report *env.Report
			if err := parse(t, tt.data).Validate(); !errors.As(err, &report) {
				t.Fatalf("got %v, want a report", err)
			}
			var got []string
			for _, p := range report.Problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNothingShowsASecret gives every secret key the wrong type, with the secret in it in many forms.
func TestNothingShowsASecret(t *testing.T) {
	const hidden = "73731337"
	forms := []string{hidden, "[" + hidden + "]", "{x: " + hidden + "}", "0" + hidden, hidden + ".5", "12:" + hidden[:2] + " " + hidden, hidden + "e1", "*x" + hidden, "!x" + hidden + " y", "&x$" + hidden, `"\q` + hidden + `"`}
	places := []string{"ssl: {key: %}", "dkim: {key: %}", "backup: {encrypt: %}", "backup: {url: %}", "backup: {options: %}", "backup: {mount: {options: %}}",
		"sentry: {dsn: %}", "extra: {files: [{path: /x, contents: %}]}", "extra: {files: [{path: /x, content: %}]}", "extra: {states: %}", "git: {source: %}", "storage: {setup: [%]}",
		"ssl: {acme: {eab: {hmac_key: %}}}", "ssl: {acme: {dns: {httpreq: {endpoint: %}}}}", "ssl: {acme: {dns: {httpreq: {password: %}}}}",
		"ssl: {acme: {dns: {rfc2136: {secret: %}}}}", "storage: {setup: %}", "storage: {setup: {crypt: %}}", "storage: {setup: {crypt: {/dev/vdb: {password: %}}}}",
		"standby: no\necs: {settings: %, 1: %}", "standby: no\necs: [%]", "standby: no\necs: {vault_sign: {1: %}}"}
	for _, place := range places {
		for _, form := range forms {
			data := "appliance:\n  domain: x\n  " + strings.ReplaceAll(place, "%", form) + "\n"
			doc, err := env.Parse("env.yml", []byte(data))
			said := []string{}
			if err == nil {
				err = doc.Validate()
				for _, w := range doc.Warnings() {
					said = append(said, w.String())
				}
				if _, flat := doc.Flatten("ecs", "appliance"); flat != nil {
					said = append(said, flat.Error())
				}
			}
			if err != nil {
				said = append(said, err.Error())
			}
			if all := strings.Join(said, "\n"); strings.Contains(all, "7373") || strings.Contains(all, "1337") {
				t.Errorf("%s\nsays %s", data, all)
			}
		}
	}
}

func TestValidateAcceptsOldFiles(t *testing.T) {
	tests := []struct{ name, data string }{
		{"the default", string(env.Default())},
		{"the longest domain", "appliance: {domain: " + strings.Repeat("a", 60) + ".org}\n"},
		{"the smallest", "appliance: {domain: localhost}\n"},
		{"the template", string(readFile(t, "testdata/template.yml"))},
		{"all keys", string(readFile(t, "testdata/full.yml"))},
		{"flags as YAML 1.1 writes them", "appliance:\n  domain: x\n  standby: Off\n  metric: {exporter: yes, gui: ON, server: no, pghero: 'true'}\n"},
		{"permissions without quotes", "appliance:\n  domain: x\n  extra: {files: [{path: /x, contents: y, permissions: 0600}]}\n"},
		{"groups left empty", "ssh_authorized_keys:\nssh_deprecated_keys:\nappliance:\n  domain: x\n  ssl:\n  sentry:\n  metric:\n  git:\n  extra:\n  update:\n  storage:\n  dkim:\n  backup:\necs:\n"},
		{"free elsewhere", "appliance: {domain: x}\necs: [1]\nruncmd: {a: 1}\nUSERDATA_TYPE: local\n"},
		{"a front that is off", "appliance: {domain: x, front: off}\n"},
		{"a front that is off in quotes", "appliance: {domain: x, front: 'off'}\n"},
		{"merged", "x: &x {domain: a, standby: no}\nappliance: {<<: *x, domain: b}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := parse(t, tt.data).Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name, data string
		want       []string
	}{
		{"none", string(env.Default()), nil},
		{"no header", "appliance: {domain: x}\n", []string{
			"env.yml:1:1: the first line is not #cloud-config (write it there, or cloud-init will not read the file)"}},
		{"words", "#cloud-config\nappliance:\n  standby: yes\n  domain: x\n", []string{
			`env.yml:3:12: appliance.standby: "yes" is a truth value in YAML 1.1 (true), something else in YAML 1.2 (write true, or put it in quotes when it is meant as text)`}},
		{"mode", "#cloud-config\nappliance:\n  extra:\n    files: [{path: /x, permissions: 0600}]\n", []string{
			`env.yml:4:37: appliance.extra.files[0].permissions: "0600" is a number in YAML 1.1 (384), something else in YAML 1.2 (put it in quotes, or write it as a plain decimal number)`}},
		{"time below ecs is not shown", "#cloud-config\necs:\n  at: 12:30\n", []string{
			"env.yml:3:7: ecs.at: YAML 1.1 reads this as a number, YAML 1.2 as something else (put it in quotes, or write it as a plain decimal number)"}},
		{"numbers of YAML 1.2", "#cloud-config\nappliance: {git: {commitid: 12e34567, branch: 0o17}}\n", []string{
			`env.yml:2:29: appliance.git.commitid: "12e34567" is text in YAML 1.1 (12e34567), something else in YAML 1.2 (put it in quotes when it is meant as text)`,
			`env.yml:2:47: appliance.git.branch: "0o17" is text in YAML 1.1 (0o17), something else in YAML 1.2 (put it in quotes when it is meant as text)`}},
		{"same in both", "#cloud-config\necs: [true, False, 1, -5, 0x1f, 1.5, 1.0e+3, 2020-01-02, ~, a, 'yes', \"0600\", .inf]\n", nil},
		{"keys nobody reads", "#cloud-config\nappliance:\n  allowed_hosts: x\n  extra: {files: [{content: x}]}\n", []string{
			"env.yml:3:3: appliance.allowed_hosts: this key is out of use (nothing reads this key: the domain is what counts)",
			"env.yml:4:20: appliance.extra.files[0].content: this key is out of use (write contents instead)"}},
		{"names", "#cloud-config\necs:\n  a-b: 1\n  c: {d: 2}\n  c_d: 3\n  e: 4\n  E: 5\n", []string{
			`env.yml:3:8: the flattened name "ECS_A-B" is no name of a shell variable (use only letters, digits and _ in keys)`,
			"env.yml:6:6: ECS_E is also the flattened name of line 7 (rename one of the keys)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range parse(t, tt.data).Warnings() {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name, data string
		want       env.Settings
	}{
		{"default", string(env.Default()), env.Settings{Domain: "localhost"}},
		{"nothing set", "appliance: {domain: ecs.example.org}", env.Settings{Domain: "ecs.example.org"}},
		{"all set", "appliance: {domain: ' a.b ', standby: on}", env.Settings{Domain: "a.b", Standby: true}},
		{"as text", "appliance: {domain: x, standby: 'true'}", env.Settings{Domain: "x", Standby: true}},
		{"empty", "appliance: {domain: x, standby: }", env.Settings{Domain: "x"}},
		{"by alias", "i: &i true\nappliance: {domain: x, standby: *i}", env.Settings{Domain: "x", Standby: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, tt.data).Settings()
			got.Site, got.Storage = env.Site{}, env.Storage{} // see TestSite, TestStorage
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProblemAsJSON(t *testing.T) {
	got, err := json.Marshal(env.Problem{File: "f", Line: 1, Column: 2, Path: "a.b", Message: "m", Remedy: "r"})
	want := `{"file":"f","line":1,"column":2,"path":"a.b","message":"m","remedy":"r"}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func parse(t testing.TB, data string) *env.Document {
	t.Helper()
	doc, err := env.Parse("env.yml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/template.yml", "testdata/full.yml", "flat/testdata/flat/scalars.yml", "flat/testdata/flat/anchors.yml", "flat/testdata/flat/omap.yml", "flat/testdata/flat/block2.yml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{"a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "a: &a {b: 1}\nc: &c {<<: *a, d: 1}\ne: {<<: *c}", "a: &x [*x]", "a: {<<: *x}", "? [a]\n: b", "a: !!set {b}", "appliance: {1: 2, domain: [x]}", "a: 190:20:30.15", "a: 2001-12-14t21:59:43.10-05:00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := env.Parse("env.yml", data)
		var report *env.Report
		if err != nil {
			if !errors.As(err, &report) || len(report.Problems) == 0 {
				t.Fatalf("no report: %v", err)
			}
			return
		}
		if err := doc.Validate(); err != nil && !errors.As(err, &report) {
			t.Fatal(err)
		}
		doc.Warnings()
		doc.Settings()
		if _, err := doc.Flatten("."); err != nil && !strings.HasPrefix(err.Error(), "cannot flatten") {
			t.Fatal(err)
		}
	})
}
