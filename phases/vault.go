package phases

import (
	"context"
	"time"

	"appliance/env"
	"appliance/internal/remedy"
	"appliance/storage/vault"
)

// vaultKeys are the keys of the storage vault in an environment.
func vaultKeys(set env.Settings) vault.Keys {
	return vault.Keys{Encrypt: set.Vault.Encrypt, Sign: set.Vault.Sign, Retired: set.Vault.Retired}
}

func (w *walk) vaultHome(set env.Settings) vault.Home {
	return vault.Home{System: w.sys, Owner: set.Storage.App}
}

// VaultProblems lists what is wrong with the keys of the storage vault in an environment, at the time now.
func VaultProblems(doc *env.Document, now time.Time) (problems []env.Problem) {
	keys := vaultKeys(doc.Settings())
	if keys.None() {
		return nil
	}
	for _, refusal := range keys.Check(now) {
		problems = append(problems, doc.Problem(append([]string{"ecs"}, env.Path(refusal.Key)...), refusal.Err.Error(), remedy.Of(refusal)))
	}
	return problems
}

// checkVault refuses keys that cannot be used, before the environment is put in force. Those that served before are not refused:
// that they have expired meanwhile must not keep a host from starting.
func (w *walk) checkVault() error {
	set := w.candidate.Settings()
	if keys := vaultKeys(set); keys.None() || w.vaultHome(set).Installed(keys) {
		return nil
	}
	problems := VaultProblems(w.candidate, w.sys.Now())
	if len(problems) == 0 {
		return nil
	}
	if !w.served() {
		return &env.Report{Problems: problems}
	}
	for _, problem := range problems {
		w.log.Warn("a key of the storage vault cannot be used any more: " + problem.String())
	}
	return nil
}

// served says whether the candidate is the environment with which this host was healthy last.
func (w *walk) served() bool {
	var good generation
	known, _ := w.recall(goodSubject, &good)
	return known && good.Env == digest(w.candidate.Data)
}

func (w *walk) vaultDiffers(context.Context) (string, error) {
	doc, err := w.environment()
	if err != nil {
		return "", err
	}
	set := doc.Settings()
	w.noteVault()
	return w.vaultHome(set).Differs(vaultKeys(set))
}

func (w *walk) makeVault(ctx context.Context) error {
	doc, err := w.environment()
	if err != nil {
		return err
	}
	set := doc.Settings()
	err = w.vaultHome(set).Make(ctx, vaultKeys(set))
	w.noteVault()
	if err == nil || remedy.Of(err) != "" {
		return err
	}
	return remedy.With(err, "make /data writable and free space on it")
}

// oldKeys says whether the home of before is still there, which the application has left by now.
func (w *walk) oldKeys(context.Context) (string, error) {
	if (vault.Home{System: w.sys}).Outlived() {
		return "nobody uses the directory of before any more", nil
	}
	return "", nil
}

func (w *walk) forgetKeys(context.Context) error { return vault.Home{System: w.sys}.Forget() }

// vaultLabel marks the containers that have the keys' directory mounted with the name of what it was when they were made: another
// directory takes its place when keys change, and a container goes on with the one it was started with.
const vaultLabel = "appliance.vault"

// stampVault has the services made anew that work with keys which are no longer in place.
func (w *walk) stampVault() {
	home := vault.Home{System: w.sys}
	if generation := home.Generation(); generation != "" {
		w.project.Stamp(w.sys.Path(vault.HomePath), vaultLabel, generation)
	}
}

// vaultPause is how often to look whether a key of the vault is about to expire.
const vaultPause = time.Hour

// watchVault tells of keys that are about to expire, of each thing once.
func (a *Appliance) watchVault(ctx context.Context) {
	said := map[string]bool{}
	for pause := time.Minute; ctx.Err() == nil; pause = vaultPause { // the walk may still be making the home
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		for _, w := range (&walk{sys: a.cfg.System, notices: &a.notices}).noteVault() {
			if text := w.String(); !said[text] {
				a.warn(text)
				said[text] = true
			}
		}
	}
}
