package env_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
)

func TestANewPairTakesThePlaceOfTheOldOne(t *testing.T) {
	when := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct{ name, before, after string }{
		{"as we write it", `#cloud-config
appliance:
  domain: box.example.org   # the name
ecs:
  # It encrypts.
  vault_encrypt: |  # mind it
    OLD E1

    OLD E2

  # It signs.
  vault_sign: |
    OLD S
  # Settings of the application.
  settings: |
    A = 1
`, `#cloud-config
appliance:
  domain: box.example.org   # the name
ecs:
  # It encrypts.
  vault_encrypt: | # mind it
    NEW E1

    NEW E2

  # It signs.
  vault_sign: |
    NEW S
  vault_retired:
    - | # until 2026-11-28
      OLD E1

      OLD E2
    - | # until 2026-11-28
      OLD S
  # Settings of the application.
  settings: |
    A = 1
`},
		{"a second time", `ecs:
    vault_retired:
    # the oldest
    - |
      OLDER E
    vault_sign: "OLD S"
    vault_encrypt: OLD E
other: 1
`, `ecs:
    vault_retired:
    # the oldest
    - | # until 2026-11-28
      OLD E
    - | # until 2026-11-28
      OLD S
    - |
      OLDER E
    vault_sign: |
      NEW S
    vault_encrypt: |
      NEW E1

      NEW E2
other: 1
`},
		{"the one that signs before the other", "ecs:\n  vault_sign: |\n    OLD S\n  vault_encrypt: |\n    OLD E\n", `ecs:
  vault_sign: |
    NEW S
  vault_retired:
    - | # until 2026-11-28
      OLD E
    - | # until 2026-11-28
      OLD S
  vault_encrypt: |
    NEW E1

    NEW E2
`},
		{"an empty list, and no line end", "ecs:\n  vault_retired: []\n  vault_encrypt: OLD E\n  vault_sign: OLD S", `ecs:
  vault_retired:
    - | # until 2026-11-28
      OLD E
    - | # until 2026-11-28
      OLD S
  vault_encrypt: |
    NEW E1

    NEW E2
  vault_sign: |
    NEW S
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, end := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
				doc, err := env.Parse("env.yml", []byte(strings.ReplaceAll(test.before, "\n", end)))
				if err != nil {
					t.Fatal(err)
				}
				got, err := doc.Rotated("NEW E1\n\nNEW E2\n", "NEW S\n", when)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if diff := cmp.Diff(strings.ReplaceAll(test.after, "\n", end), string(got)); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
}

func TestAFileThatCannotBeChangedLineByLine(t *testing.T) {
	for name, text := range map[string]string{
		"a flow mapping":       "ecs: {vault_encrypt: E, vault_sign: S}\n",
		"an alias":             "x: &k E\necs:\n  vault_encrypt: *k\n  vault_sign: S\n",
		"an anchor":            "ecs:\n  vault_encrypt: &k E\n  vault_sign: S\n  again: *k\n",
		"a merge key":          "x: &k\n  vault_encrypt: E\necs:\n  <<: *k\n  vault_sign: S\n",
		"a flow list":          "ecs:\n  vault_encrypt: E\n  vault_sign: S\n  vault_retired: [R]\n",
		"a key on its own":     "ecs:\n  ? vault_encrypt\n  : E\n  vault_sign: S\n",
		"the key is elsewhere": "vault_encrypt: E\necs:\n  vault_sign: S\n",
	} {
		doc, err := env.Parse("env.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := doc.Rotated("N", "M", time.Now()); err == nil || !strings.HasPrefix(err.Error(), "cannot change the keys in env.yml: ") {
			t.Errorf("%s: it says %v and makes\n%s", name, err, got)
		}
	}
}

// In the whole of a real file, nothing but the keys changes.
func TestAWholeEnvironmentWithNewKeys(t *testing.T) {
	data, err := os.ReadFile("testdata/template.yml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := env.Parse("env.yml", data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := doc.Rotated("N", "M", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if !strings.Contains(string(got), strings.TrimSpace(line)) {
			t.Errorf("the line %q is gone", line)
		}
	}
}
