package env

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"appliance/env/yaml11"
)

// everyKey answers all places of the schema, in its order.
func everyKey(t *testing.T) []place {
	t.Helper()
	root, err := loadOrdered()
	if err != nil {
		t.Fatal(err)
	}
	var keys []place
	place{root: root, node: root}.walk(func(p place) { keys = append(keys, p) })
	return keys
}

// TestSchemaIsASchema stands for the check that loadRules leaves out.
func TestSchemaIsASchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	meta, err := jsonschema.NewCompiler().Compile("https://json-schema.org/draft/2020-12/schema")
	if err != nil {
		t.Fatal(err)
	}
	if err := meta.Validate(doc); err != nil {
		t.Error(err)
	}
	doc.(map[string]any)["properties"].(map[string]any)["appliance"].(map[string]any)["type"] = "maping"
	if meta.Validate(doc) == nil {
		t.Error("a wrong schema passes")
	}
}

// TestSchemaDescribesEveryKey keeps the schema fit for documentation.
func TestSchemaDescribesEveryKey(t *testing.T) {
	for _, p := range everyKey(t) {
		at := joined(p.path)
		if p.node.Title == "" || p.node.About == "" || len(p.node.Examples) == 0 {
			t.Errorf("%s lacks a title, a description or examples", at)
		}
		if strings.HasSuffix(p.node.Title, ".") || !strings.HasSuffix(p.node.About, ".") {
			t.Errorf("%s: a title has no period, a description has one", at)
		}
		if hasDefault := p.node.Default != nil; hasDefault == p.required {
			t.Errorf("%s: default %v, required %v", at, hasDefault, p.required)
		}
		if p.target().Others.schema != nil && p.target().Keys == "" {
			t.Errorf("%s does not say what its keys are (x-keys)", at)
		}
		for _, value := range append([]json.RawMessage{p.node.Default}, p.node.Examples...) {
			if len(value) > 0 && string(value) != "null" && snippet(value) == "" {
				t.Errorf("%s: %s cannot be shown", at, value)
			}
		}
	}
}

// TestSchemaTakesWhatItShows compiles every key by itself.
func TestSchemaTakesWhatItShows(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("urn:test", doc); err != nil {
		t.Fatal(err)
	}
	var walk func(at string, node map[string]any)
	walk = func(at string, node map[string]any) {
		compiled, err := compiler.Compile("urn:test#" + at)
		if err != nil {
			t.Fatal(err)
		}
		shown, _ := node["examples"].([]any)
		if start, has := node["default"]; has {
			shown = append(shown, start)
		}
		for _, value := range shown {
			if err := compiled.Validate(value); err != nil {
				t.Errorf("%s: %v: %v", at, value, err)
			}
		}
		for name, below := range node {
			if below, ok := below.(map[string]any); ok && name != "examples" && name != "default" {
				walkAll(at+"/"+name, name, below, walk)
			}
		}
	}
	walk("", doc.(map[string]any))
}

// walkAll visits a schema, or each of those that have names.
func walkAll(at, keyword string, node map[string]any, walk func(string, map[string]any)) {
	if keyword != "properties" && keyword != "$defs" {
		walk(at, node)
		return
	}
	for name, below := range node {
		walk(at+"/"+name, below.(map[string]any))
	}
}

// TestSchemaHasTheKeysOfOldFiles names every key that the predecessor read or documented.
func TestSchemaHasTheKeysOfOldFiles(t *testing.T) {
	for _, key := range strings.Fields(`
		ssh_authorized_keys ssh_deprecated_keys disable_root http_proxy no_proxy kernel storage
		appliance.standby appliance.domain appliance.allowed_hosts
		appliance.ssl.letsencrypt.enabled appliance.ssl.client_certs_mandatory appliance.ssl.key appliance.ssl.cert
		appliance.sentry.dsn appliance.sentry.hide_pillar appliance.sentry.hide_grains appliance.sentry.report_errors_only
		appliance.sentry.change_level appliance.sentry.error_level appliance.sentry.tags
		appliance.metric.exporter appliance.metric.server appliance.metric.gui appliance.metric.pghero
		appliance.git.branch appliance.git.source appliance.git.commitid
		appliance.extra.files.0.path appliance.extra.files.0.contents appliance.extra.files.0.content
		appliance.extra.files.0.owner appliance.extra.files.0.permissions appliance.extra.packages appliance.extra.states
		appliance.update.automatic appliance.update.oncalendar
		appliance.storage.setup.parted appliance.storage.setup.mdadm appliance.storage.setup.crypt appliance.storage.setup.lvm
		appliance.storage.setup.format appliance.storage.setup.mount appliance.storage.setup.swap
		appliance.storage.ignore.volatile appliance.storage.ignore.data appliance.storage.proxy_cache appliance.storage.grow_root
		appliance.dkim.key appliance.backup.url appliance.backup.options appliance.backup.encrypt
		appliance.backup.mount.type appliance.backup.mount.source appliance.backup.mount.target appliance.backup.mount.options
		ecs.git.branch ecs.git.source ecs.git.commitid ecs.docs.git.branch ecs.docs.git.source ecs.database
		ecs.migrate.auto ecs.userswitcher.parameter ecs.userswitcher.enabled ecs.settings ecs.vault_encrypt ecs.vault_sign`) {
		if _, known := Describe(strings.Split(key, ".")...); !known {
			t.Errorf("%s is missing", key)
		}
	}
}

// TestSchemaKnowsItsSecrets holds the names of keys against their marks, so that a new one is not forgotten.
func TestSchemaKnowsItsSecrets(t *testing.T) {
	shown := strings.Fields(`ssh_authorized_keys ssh_deprecated_keys appliance.ssl.acme.key_type appliance.ssl.acme.dns.rfc2136.key
		appliance.backup.mount.source`)
	for _, p := range everyKey(t) {
		d := p.describe()
		name := p.path[len(p.path)-1]
		looks := secretByName([]string{name}) || slices.Contains([]string{"url", "endpoint", "options", "http_proxy", "source", "contents", "states"}, name)
		if group := p.target().Properties != nil; looks && !group && !d.Secret && !slices.Contains(shown, d.Path) {
			t.Errorf("%s looks like a secret", d.Path)
		}
	}
	for _, key := range strings.Fields(`appliance.ssl.key appliance.ssl.acme.eab.hmac_key appliance.ssl.acme.dns.httpreq.endpoint
		appliance.ssl.acme.dns.httpreq.password appliance.ssl.acme.dns.rfc2136.secret appliance.sentry.dsn appliance.git.source
		appliance.extra.files.0.contents appliance.extra.files.0.content appliance.extra.states appliance.storage.setup
		appliance.storage.setup.crypt./dev/vdb.password appliance.dkim.key appliance.backup.url appliance.backup.options
		appliance.backup.mount.options appliance.backup.encrypt ecs.settings ecs.vault_encrypt ecs.vault_sign ecs.vault_retired http_proxy`) {
		if d, _ := Describe(strings.Split(key, ".")...); !d.Secret {
			t.Errorf("%s is no secret", key)
		}
	}
}

// TestFullFileHasEveryKey keeps the file complete that stands for all files.
func TestFullFileHasEveryKey(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Parse("full.yml", data)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range everyKey(t) {
		if !has(doc.Top, p.path) {
			t.Errorf("%s is not in full.yml", joined(p.path))
		}
	}
}

// has says whether any value stands at a path, in which capitals are any key.
func has(v *yaml11.Value, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if path[0] == strings.ToUpper(path[0]) {
		return slices.ContainsFunc(v.Items, func(item *yaml11.Value) bool { return has(item, path[1:]) })
	}
	below := v.Get(path[0])
	return below != nil && has(below, path[1:])
}

func TestValidateSaysWhatIsExpected(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"another word", "front: nginx", `appliance.front: expected builtin, external or off, found the text "nginx" (write builtin, external or off)`},
		{"a word that YAML knows", "front: on", "appliance.front: expected builtin, external or off, found true (write builtin, external or off)"},
		{"an address without a port", "listen: {http: [192.0.2.1]}", `appliance.listen.http[0]: expected an address such as ":443", "192.0.2.1:443" or "[2001:db8::1]:443", found the text "192.0.2.1" (write an address such as ":443", "192.0.2.1:443" or "[2001:db8::1]:443")`},
		{"a time that YAML takes for a number", "ssl: {acme: {dns: {propagation: 2:30}}}", "appliance.ssl.acme.dns.propagation: expected a time such as 90s, 5m or 1h30m, found number 150 (put the value in quotes)"},
		{"the name of a file", "ssl: {acme: {ca_bundle: /etc/ca.pem}}", `appliance.ssl.acme.ca_bundle: expected PEM text that begins with -----BEGIN CERTIFICATE-----, found the text "/etc/ca.pem" (write PEM text that begins with -----BEGIN CERTIFICATE-----)`},
		{"out of range", "storage: {space: {warn: 100}}", "appliance.storage.space.warn: expected a whole number from 1 to 90, found number 100 (write a whole number from 1 to 90)"},
		{"percent", "storage: {space: {warn: 20%}}", `appliance.storage.space.warn: expected a whole number from 1 to 90, found the text "20%" (write a whole number from 1 to 90)`},
		{"a key below one that is free", "storage: {setup: {format: {/dev/vdb: {type: ext4, fstype: ext4}}}}", `appliance.storage.setup.format./dev/vdb.type: unknown key; did you mean "fstype"? (write fstype)`},
		{"a value below one that is free", "storage: {setup: {format: {/dev/vdb: {fstype: ntfs}}}}", "appliance.storage.setup.format./dev/vdb.fstype: expected ext4, xfs or swap, found text (write ext4, xfs or swap)"},
		{"a key at the wrong place", "email: a@example.org", `appliance.email: unknown key; did you mean "appliance.ssl.acme.email"? (write appliance.ssl.acme.email)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := Parse("env.yml", []byte("appliance:\n  domain: x\n  "+tt.data+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			var report *Report
			if err := doc.Validate(); !errors.As(err, &report) || len(report.Problems) != 1 {
				t.Fatalf("got %v, want one problem", err)
			}
			got := report.Problems[0]
			got.File, got.Line, got.Column = "", 0, 0
			if diff := cmp.Diff(tt.want, strings.TrimLeft(got.String(), ": ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidateAcceptsBothFormsOfSetup(t *testing.T) {
	for _, setup := range []string{"{swap: [/dev/vdb]}", "|\n      swap: [/dev/vdb]", ""} {
		doc, err := Parse("env.yml", []byte("appliance:\n  domain: x\n  storage:\n    setup: "+setup+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Validate(); err != nil {
			t.Error(err)
		}
	}
}
