package env

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecrets(t *testing.T) {
	doc, err := Parse("env.yml", []byte(`appliance:
  domain: box.example.org
  ssl: {key: "-----BEGIN\nMIIEowIBAAKC\n"}
ecs:
  git: {branch: master-branch}
  db: {password: hunter22, user: application}
  short: {password: abc}
  tokens: [first-token, second-token-that-holds-first-token]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"second-token-that-holds-first-token", "MIIEowIBAAKC", "first-token", "-----BEGIN", "hunter22"}
	if diff := cmp.Diff(want, doc.Secrets()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
