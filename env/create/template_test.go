package create

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"appliance/internal/remedy"
)

// stubs are short texts in the shape of keys, for tests that are not about keys.
func stubs() keys {
	text := func(name string) string {
		return "-----BEGIN " + name + "-----\n\nbm90IGEga2V5\n=abcd\n-----END " + name + "-----\n"
	}
	return keys{dkim: text("RSA PRIVATE KEY"), dkimPublic: "cHVibGlj", backup: text("BACKUP"), vaultEncrypt: text("ENCRYPT"), vaultSign: text("SIGN")}
}

// text answers the environment of ecs.example.org, without the time that real keys take.
func (o Options) text() (string, error) {
	o.Domain = "ecs.example.org"
	r, err := read(o)
	if err != nil {
		return "", err
	}
	e, err := r.fill(stubs())
	if err != nil {
		return "", err
	}
	return string(e.Data), nil
}

func TestTextsArriveByteForByte(t *testing.T) {
	text, err := Options{}.text()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Appliance struct {
			DKIM   struct{ Key string }
			Backup struct{ Encrypt string }
		}
		ECS struct {
			VaultEncrypt string `yaml:"vault_encrypt"`
			VaultSign    string `yaml:"vault_sign"`
		}
	}
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	k := stubs()
	want := []string{k.dkim, k.backup, k.vaultEncrypt, k.vaultSign}
	if diff := cmp.Diff(want, []string{got.Appliance.DKIM.Key, got.Appliance.Backup.Encrypt, got.ECS.VaultEncrypt, got.ECS.VaultSign}); diff != "" {
		t.Error(diff)
	}
}

func TestOwnTemplate(t *testing.T) {
	got, err := Options{TemplateName: "my.yml", Template: []byte(`#cloud-config
{{comment .DNS.String}}
appliance:
  domain: {{.Domain}}
  dkim:
    key: |
{{indent 6 .DKIMKey}}
app:
  {{- range $i, $name := .DNS}}{{if eq $i 5}}
  public: {{quote $name.Value}}
  {{- end}}{{end}}
  text: {{quote "a \"b\"\n\u00e4"}}
  secret: {{len secret}}
`)}.text()
	if err != nil {
		t.Fatal(err)
	}
	want := `#cloud-config
# ecs.example.org. IN A 192.0.2.1
# ecs.example.org. IN AAAA 2001:db8::1
# ecs.example.org. IN MX 10 ecs.example.org.
# ecs.example.org. IN TXT "v=spf1 a mx -all"
# _dmarc.ecs.example.org. IN TXT "v=DMARC1; p=quarantine"
# default._domainkey.ecs.example.org. IN TXT "v=DKIM1; k=rsa; s=email; p=cHVibGlj"
# 1.2.0.192.in-addr.arpa. IN PTR ecs.example.org.
appliance:
  domain: ecs.example.org
  dkim:
    key: |
      -----BEGIN RSA PRIVATE KEY-----

      bm90IGEga2V5
      =abcd
      -----END RSA PRIVATE KEY-----
app:
  public: "v=DKIM1; k=rsa; s=email; p=cHVibGlj"
  text: "a \"b\"\n\u00e4"
  secret: 52
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInATemplateAreToldWithTheirLine(t *testing.T) {
	const head = "#cloud-config\n{{comment .DNS.String}}\nappliance:\n  domain: {{.Domain}}\n" // 4 lines that become 10
	tests := []struct{ name, template, want string }{
		{"no template language", head + "x: {{.Domain\n", "unclosed action started at my.yml:5"},
		{"unknown function", head + "x: {{pasword}}\n", `cannot read the template: template: my.yml:5: function "pasword" not defined`},
		{"unknown field", head + "x: {{.Secret}}\n", `cannot fill the template: template: my.yml:5:5: executing "my.yml" at <.Secret>: can't evaluate field Secret in type create.Data`},
		{"no YAML", head + "x: [\n", "my.yml:6:1: is not YAML"},
		{"no YAML below a key", head + "x: |\n{{indent 2 .BackupKey}}\ny: ]\n", "my.yml:7:4: is not YAML"},
		{"key of the schema", head + "  stand_by: true\n", "my.yml:5:3: appliance.stand_by: unknown key"},
		{"in a branch", head + "{{if .Domain}}\n  stand_by: true\n{{end}}", "my.yml:6:3: appliance.stand_by: unknown key"},
		{"in an else", head + "{{with .SentryDSN}}\n{{else}}\n\n  stand_by: true\n{{end}}", "my.yml:8:3: appliance.stand_by: unknown key"},
		{"in a range", head + "  extra:\n    packages:\n{{range .DNS}}\n      - 7\n{{end}}", "my.yml:8:9: appliance.extra.packages[0]: expected text"},
		{"after trimmed blanks", head + "{{- /* gone */ -}}\n\n  stand_by: true\n", "my.yml:7:34: is not YAML"},
		{"in a definition", `{{define "a"}}` + "\n  stand_by: true{{end}}" + head + `{{template "a"}}`, "my.yml:2:3: appliance.stand_by: unknown key"},
		{"no domain", "#cloud-config\nappliance: {}\n", "my.yml:2:"},
		{"empty", "", "my.yml: is empty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text, err := Options{TemplateName: "my.yml", Template: []byte(test.template)}.text()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got  %v\nwant %s\n%s", err, test.want, text)
			}
			if remedy.Of(err) == "" {
				t.Error("no remedy")
			}
		})
	}
}
