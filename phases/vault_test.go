package phases

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
	"appliance/env/create"
	"appliance/internal/api"
	"appliance/internal/system"
	"appliance/storage/vault"
)

// vaultEnvironment is an environment with keys, the first in the fifth line.
func vaultEnvironment(t *testing.T, encrypt, sign string) string {
	t.Helper()
	block := func(text string) string {
		return "|\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	}
	return environment + "ecs:\n  vault_encrypt: " + block(encrypt) + "  vault_sign: " + block(sign)
}

func vaultKey(t *testing.T, user string) string {
	t.Helper()
	text, err := create.NewOpenPGP(user, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheKeysOfTheEnvironmentBecomeTheHomeOfGnuPG(t *testing.T) {
	h := newTestHost(t)
	first := vaultEnvironment(t, vaultKey(t, "ecs_mediaserver"), vaultKey(t, "ecs_authority"))
	h.write("app/env.yml", first)
	for range 2 {
		for _, phase := range []string{"prepare-env", "prepare-appliance"} {
			if err := Single(t.Context(), h.config(&manager{}), phase); err != nil {
				t.Fatal(err)
			}
		}
	}
	generation := func() string { return vault.Home{System: system.New(system.Config{Root: h.root})}.Generation() }
	before := generation()
	if before == "" {
		t.Fatal("there is no home")
	}
	h.write("app/env.yml", first+"# nothing that counts\n")
	h.write("app/env.yml", vaultEnvironment(t, vaultKey(t, "ecs_mediaserver"), vaultKey(t, "ecs_authority")))
	p, err := Plan(t.Context(), h.config(&manager{}))
	planned := false
	for _, change := range p.Changes {
		planned = planned || change.Step == "vault" && change.Why == "the environment has other keys than the application's gpg"
	}
	if !planned || generation() != before {
		t.Errorf("the plan is %+v, %v, and the home is %q", p.Changes, err, generation())
	}
}

func TestKeysThatCannotBeUsedAreRefusedBeforeTheEnvironmentIsInForce(t *testing.T) {
	encrypt, sign := vaultKey(t, "ecs_mediaserver"), vaultKey(t, "ecs_authority")
	for _, test := range []struct{ name, text, want string }{
		{"swapped", vaultEnvironment(t, sign, encrypt),
			`/app/env.yml:5:18: ecs.vault_encrypt: holds the key of "ecs_authority", and should hold that of ecs_mediaserver (it is the key for ecs.vault_sign: the two are swapped)`},
		{"cut off", vaultEnvironment(t, encrypt[:len(encrypt)/2], sign),
			"/app/env.yml:5:18: ecs.vault_encrypt: holds a key that is cut off: it has no END line (put in the whole of what `gpg --armor --export-secret-keys` prints for it, from BEGIN to END)"},
		{"one of two", environment + "ecs:\n  vault_encrypt: " + "|\n    " + strings.ReplaceAll(encrypt, "\n", "\n    "),
			"/app/env.yml:5:3: ecs.vault_sign: is missing: ecs.vault_encrypt is nothing without it (give both keys of the storage vault, or none)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHost(t)
			h.write("app/env.yml", test.text)
			err := Single(t.Context(), h.config(&manager{}), "prepare-env")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v", err)
			}
			if _, err := os.Stat(filepath.Join(h.root, "run/active-env.yml")); err == nil {
				t.Error("it is in force all the same")
			}
			doc, err := env.Parse(EnvPath, []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if problems := VaultProblems(doc, time.Now()); len(problems) == 0 || problems[0].String() != test.want {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

// A key that is about to expire is told of while the appliance runs, each thing once.
func TestKeysThatAreAboutToExpireAreToldOf(t *testing.T) {
	h := newTestHost(t)
	expires := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 61) // synctest's time begins there
	note, err := json.Marshal(map[string]any{"version": 1, "generation": "x", "keys": []vault.Key{
		{Use: vault.UseEncrypt, Expires: &expires}, {Use: vault.UseRetired, Expires: &expires}}})
	if err != nil {
		t.Fatal(err)
	}
	h.write("data/ecs-gpg/.appliance-vault.json", string(note))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := &Appliance{cfg: Config{System: system.New(system.Config{Root: h.root}), Log: slog.New(slog.DiscardHandler)}, bus: api.NewBus()}
		go a.watchVault(ctx)
		told := func() (texts []string) {
			events, _ := a.bus.After(0)
			for _, e := range events {
				texts = append(texts, e.Text)
			}
			return texts
		}
		time.Sleep(12 * time.Hour)
		synctest.Wait()
		if got := told(); len(got) > 0 {
			t.Errorf("with 61 days left: %q", got)
		}
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		want := []string{"The vault's key to encrypt expires on 2000-03-02, in 60 days or less: prolong it, or make a new pair with `appliance vault rotate`"}
		if diff := cmp.Diff(want, told()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(70 * 24 * time.Hour)
		synctest.Wait()
		if got := told(); len(got) != 6 || !strings.Contains(got[5], "has expired on 2000-03-02, and the application cannot store documents any more") {
			t.Errorf("in the end: %q", got)
		}
		cancel()
	})
}
