package create

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/diff"

	"appliance/env"
)

func withExtra(extra string) Options { return Options{Extra: []byte(extra), ExtraName: "extra.yml"} }

// What could be handed to the predecessor's env-create.
func TestExtraOfThePredecessor(t *testing.T) {
	tests := []struct {
		name, extra string
		want        map[string]string
	}{
		{"ssh keys", "ssh_authorized_keys:\n  - ssh-ed25519 AAAA ada\n  - ssh-rsa AAAB bob\n",
			map[string]string{"SSH_AUTHORIZED_KEYS_0": "ssh-ed25519 AAAA ada", "SSH_AUTHORIZED_KEYS_1": "ssh-rsa AAAB bob"}},
		{"sentry", "appliance: {sentry: {dsn: 'https://a@sentry.example.org/1'}}\n",
			map[string]string{"APPLIANCE_SENTRY_DSN": "https://a@sentry.example.org/1"}},
		{"metric", "appliance:\n  metric:\n    exporter: yes\n",
			map[string]string{"APPLIANCE_METRIC_EXPORTER": "true", "APPLIANCE_METRIC_SERVER": "false"}},
		{"source of the appliance", "appliance:\n  git:\n    branch: stable\n    source: https://git.example.org/a.git\n",
			map[string]string{"APPLIANCE_GIT_BRANCH": "stable", "APPLIANCE_GIT_SOURCE": "https://git.example.org/a.git"}},
		{"files", "appliance:\n  extra:\n    files:\n      - path: /etc/motd\n        content: |\n          hello\n            you\n        owner: root:adm\n        permissions: 0640\n",
			map[string]string{"APPLIANCE_EXTRA_FILES_LEN": "1", "APPLIANCE_EXTRA_FILES_0_PATH": "/etc/motd", "APPLIANCE_EXTRA_FILES_0_CONTENT": "hello\n  you",
				"APPLIANCE_EXTRA_FILES_0_OWNER": "root:adm", "APPLIANCE_EXTRA_FILES_0_PERMISSIONS": "416", "APPLIANCE_EXTRA_PACKAGES_LEN": "0"}},
		{"update", "appliance: {update: {automatic: off, oncalendar: Sun *-*-* 07:00:00}}\n",
			map[string]string{"APPLIANCE_UPDATE_AUTOMATIC": "false", "APPLIANCE_UPDATE_ONCALENDAR": "Sun *-*-* 07:00:00"}},
		{"source of the application", "ecs: {git: {branch: stable, commitid: 0123e4}}\n",
			map[string]string{"ECS_GIT_BRANCH": "stable", "ECS_GIT_COMMITID": "0123e4", "ECS_GIT_SOURCE": "https://github.com/ecs-org/ecs.git"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text, err := withExtra(test.extra).text()
			if err != nil {
				t.Fatal(err)
			}
			doc, err := env.Parse("env.yml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			vars, err := doc.Flatten("ssh_authorized_keys", "appliance", "ecs")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, v := range vars {
				if _, asked := test.want[v.Key]; asked {
					got[v.Key] = v.Value
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheAddressForErrorsIsThatOfTheApplicationToo(t *testing.T) {
	text, err := withExtra(`appliance: {sentry: {dsn: "https://a@sentry.example.org/\"1"}}`).text()
	if err != nil {
		t.Fatal(err)
	}
	if want := "\n    SENTRY_DSN = \"https://a@sentry.example.org/\\\"1\"\n"; !strings.Contains(text, want) {
		t.Errorf("%s is not in\n%s", want, text)
	}
}

// changes lists the lines that went (-) and came (+).
func changes(before, after string) []string {
	var out []string
	for line := range strings.Lines(string(diff.Diff("before", []byte(before), "after", []byte(after)))) {
		if line = strings.TrimSuffix(line, "\n"); strings.Trim(line[:1], "+-") == "" && !strings.HasPrefix(line, "+++ ") && !strings.HasPrefix(line, "--- ") {
			out = append(out, line)
		}
	}
	return out
}

func TestWhatExtraDoesNotNameStaysAsItWas(t *testing.T) {
	tests := []struct {
		name, extra string
		want        []string
	}{
		{"nothing new", "appliance: {standby: false}", nil},
		{"a comment only", "appliance: {} # nothing", nil},
		{"scalars as they are written", "appliance:\n  standby: No\n  ssl: {client_certs_mandatory: \"true\"}\n", []string{
			"-  standby: false", "+  standby: No", "-    client_certs_mandatory: false", "+    client_certs_mandatory: \"true\""}},
		{"new keys go to the end of their mapping", "new: 12:30\nappliance:\n  backup:\n    options: ~ # none\n    # A share.\n    mount:\n      type: cifs\n", []string{
			"+    # A share.", "+    mount:", "+      type: cifs", "+", "+new: 12:30"}},
		{"lists replace", "appliance:\n  extra:\n    packages:\n      - htop # top\n      - 'curl'\n", []string{
			"-    packages: []", "+    packages:", "+      - htop # top", "+      - 'curl'"}},
		{"null removes", "disable_root:\necs:\n  git: null\n  database: ~\n", []string{
			"-# Has to stay false: the appliance is administered as root.", "-disable_root: false", "-",
			"-  # Source of the application. A commitid beside them holds it at that commit.", "-  git:", "-    branch: master",
			"-    source: https://github.com/ecs-org/ecs.git", "-  # Name of the database.", "-  database: ecs"}},
		{"null removes the first key", "ssh_deprecated_keys: null\n", []string{
			"-# Public keys that are taken away from root and app; also the record of who once had access.", "-ssh_deprecated_keys: []", "-"}},
		{"null removes from what is new, too", "app: {a: null, b: {c: null}, d: [null]}\n", []string{"+", "+app: {b: {}, d: [null]}"}},
		{"text stays in its block", "ecs:\n  note: |\n    a\n\n    b: 'c'\n", []string{"+  note: |", "+    a", "+", "+    b: 'c'"}},
		{"a first line of its own", "#cloud-config\nnew: 1\n", []string{"+", "+new: 1"}},
	}
	secret := func() string { return "the same" } // for the texts to be comparable
	plain := environmentWith(t, Options{}, secret)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, changes(plain, environmentWith(t, withExtra(test.extra), secret))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// written are values in all manners of YAML.
func written() []string {
	return []string{
		"yes", "Off", "0600", "0o17", "12:30:00", "1_000", ".5", "1e3", "08", "'='", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "~x", "0x1F", ".inf",
		"!!str 3", "! 3", "!!float 1", "!!binary aGFsbG8=", "!!set {a, b}", "!!omap [b: 1, a: 2]", `"a\tb \x41\n"`, "'it''s'", `"null"`, "'yes'", "a\n  b",
		"|\n  a\n   b\n\n", "|+\n  a\n\n", "|-\n  a\n", "|2\n    a\n  b\n", "|\n  a \n  b\tc\n", ">\n  a\n  b\n\n  c\n", ">-\n  a\n    b\n  c\n", ">\n  a\n  \tb\n  c\n",
		"[yes, 'no', [0600]]", "{a: yes, 'b': 12:30}", "[{a: 12:30}, [1:30]]", "\n- 0600\n-\n  - x: yes\n    y: 'no'\n", "a # b", "'a # b'", "ö \U0001f600", strings.Repeat("long ", 100),
	}
}

func TestValuesOfExtraMeanTheSame(t *testing.T) {
	for _, value := range written() {
		t.Run(value, func(t *testing.T) {
			document := "new: " + value
			text, err := withExtra(document).text()
			if err != nil {
				t.Fatal(err)
			}
			want, err := flattened(document)
			if err != nil || len(want) == 0 {
				t.Fatal(want, err)
			}
			got, err := flattened(text)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

// FuzzExtra lays documents over a small one: it is told what is wrong with them, or their values mean the same.
func FuzzExtra(f *testing.F) {
	for _, value := range written() {
		f.Add("new: " + value)
	}
	f.Fuzz(func(t *testing.T, document string) {
		o := withExtra(document)
		o.TemplateName, o.Template = "small.yml", []byte("appliance:\n  domain: a.example\n")
		text, err := o.text()
		if err != nil {
			return
		}
		want, err := flattened(document)
		if err != nil {
			return
		}
		if got, err := flattened(text); err != nil || len(want) > 0 && !cmp.Equal(want, got) {
			t.Error(err, cmp.Diff(want, got), text)
		}
	})
}

// flattened answers what stands below the key new, without what is empty: null removes.
func flattened(document string) (map[string]string, error) {
	doc, err := env.Parse("env.yml", []byte(document))
	if err != nil {
		return nil, err
	}
	vars, err := doc.Flatten("new")
	values := make(map[string]string, len(vars))
	for _, v := range vars {
		if v.Value != "" {
			values[v.Key] = v.Value
		}
	}
	return values, err
}

func environmentWith(t *testing.T, o Options, secret func() string) string {
	t.Helper()
	o.Domain = "ecs.example.org"
	r, err := read(o)
	if err != nil {
		t.Fatal(err)
	}
	r.source.Funcs(map[string]any{"secret": secret})
	e, err := r.fill(stubs())
	if err != nil {
		t.Fatal(err)
	}
	return string(e.Data)
}

func TestMistakesInExtraAreToldWithTheirPlace(t *testing.T) {
	tests := []struct{ name, extra, want string }{
		{"empty", "", "extra.yml: is empty"},
		{"no YAML", "appliance:\n\tstandby: true\n", "extra.yml:2:1: is not YAML: a tab in the indentation"},
		{"no mapping", "- a\n", "extra.yml:1:1: must be a mapping of keys at the top, found a list"},
		{"a key twice", "appliance:\n  standby: true\n  update: {}\n  \"standby\": false\n", "extra.yml:4:3: the same key stands in line 2 and in line 4"},
		{"a key twice in a list", "appliance:\n  extra:\n    files:\n      - path: /a\n        path: /b\n", "extra.yml:5:9: the same key stands in line 4 and in line 5"},
		{"an alias", "a: &x 1\nb: *x\n", "extra.yml:2:4: an alias (*name) or merge key (<<) cannot be laid over another document"},
		{"a merge key", "appliance:\n  <<: {standby: true}\n", "extra.yml:2:3: an alias (*name) or merge key (<<) cannot be laid over another document"},
		{"several mistakes", "ssl: 1\nappliance:\n  update: {often: true}\n  ssl: {cert: 1}\n  standby: maybe\n",
			"extra.yml:3:12: appliance.update.often: unknown key (remove it; keys of the application belong below ecs)\nextra.yml:4:15: appliance.ssl.cert: expected text, found number 1 (put the value in quotes)\nextra.yml:5:12: appliance.standby: expected true or false"},
		{"another domain", "appliance:\n  domain: other.example.org\n", "extra.yml:2:11: the domain belongs to the DNS records"},
		{"another DKIM key", "appliance:\n  dkim:\n    key: secret\n", "extra.yml:3:5: the DKIM key belongs to the DNS records"},
		{"unknown key", "# a\nappliance:\n  stand_by: true\n", "extra.yml:3:3: appliance.stand_by: unknown key"},
		{"unknown key in a mapping that is there", "appliance: {update: {automatc: true}}\n", "extra.yml:1:22: appliance.update.automatc: unknown key"},
		{"wrong value", "appliance:\n  metric:\n    gui: maybe\n", "extra.yml:3:10: appliance.metric.gui: expected true or false"},
		{"wrong kind", "appliance:\n  ssl: true\n", "extra.yml:2:8: appliance.ssl: expected a mapping"},
		{"wrong value deep in a list", "appliance:\n  extra:\n    files:\n      - {path: /a}\n      - {path: b}\n", "extra.yml:5:16: appliance.extra.files[1].path: expected an absolute path"},
		{"what is needed is removed", "a: 1\nappliance:\n", "extra.yml:2:1"},
		{"a key that is no text", "ecs:\n  on: 1\n", "extra.yml:2:3: a key must be text"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text, err := withExtra(test.extra).text()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got  %v\nwant %s\n%s", err, test.want, text)
			}
			if report := new(env.Report); !errors.As(err, &report) || report.Problems[0].File != "extra.yml" || report.Problems[0].Remedy == "" {
				t.Errorf("no report on extra.yml with a remedy: %#v", err)
			}
		})
	}
}

func TestTheFirstLineStaysFirst(t *testing.T) {
	o := withExtra("a: null\n")
	o.TemplateName, o.Template = "my.yml", []byte("#cloud-config\n# Note.\na: 1\nappliance:\n  domain: {{.Domain}}\n")
	got, err := o.text()
	if want := "#cloud-config\nappliance:\n  domain: ecs.example.org\n"; err != nil || got != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
	}
}

func TestATemplateWithAliasesTakesNoExtra(t *testing.T) {
	o := withExtra("a: 1\n")
	o.TemplateName, o.Template = "my.yml", []byte("#cloud-config\nappliance: {domain: &d a.example}\nx: *d\n")
	const want = "cannot lay extra.yml over my.yml: the template has an alias (*name) or a merge key (<<)"
	if _, err := o.text(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	o.Extra = nil
	if _, err := o.text(); err != nil {
		t.Errorf("without extra: %v", err)
	}
}
