package phases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"appliance/env"
	"appliance/env/create"
	"appliance/internal/remedy"
	"appliance/storage/vault"
)

// Rotation is a new pair of keys for the storage vault that nobody uses yet.
type Rotation struct {
	// File of the environment that can be changed in place; "" is none, and why.
	File string
	Why  string

	cfg Config
	doc *env.Document // that the next start takes
}

// NewRotation finds out where a new pair of keys has to be written. It changes nothing.
func NewRotation(ctx context.Context, cfg Config) (*Rotation, error) {
	doc, err := NextEnv(ctx, cfg)
	if err != nil {
		return nil, err
	}
	keys := vaultKeys(doc.Settings())
	if keys.Encrypt == "" || keys.Sign == "" {
		return nil, remedy.With(errors.New("cannot rotate the keys of the storage vault: the environment has none"),
			"`appliance env create` makes an environment with a first pair")
	}
	r := &Rotation{cfg: cfg, doc: doc}
	r.File, r.Why = r.place()
	return r, nil
}

// place finds the one file of this host that has both keys, and the retired ones if there are any.
func (r *Rotation) place() (file, why string) {
	for _, key := range []string{vault.EncryptKey, vault.SignKey, vault.RetiredKeys} {
		at := r.doc.Top.Get("ecs", key)
		switch {
		case at == nil:
		case file == "":
			file = at.File
		case at.File != file:
			return "", fmt.Sprintf("ecs.%s stands in %s, and others in %s", key, at.File, file)
		}
	}
	if file != EnvPath && filepath.Dir(file) != LayersDir {
		return "", "it comes from " + file
	}
	return file, ""
}

// Pair makes the keys.
func (r *Rotation) pair() (encrypt, sign string, err error) {
	now := r.cfg.System.Now()
	if encrypt, err = create.NewOpenPGP("ecs_mediaserver", now); err == nil {
		sign, err = create.NewOpenPGP("ecs_authority", now)
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot make the keys: %w", err)
	}
	return encrypt, sign, nil
}

// Write makes a pair and puts it in the place of the old one, which is kept in ecs.vault_retired of the same file.
func (r *Rotation) Write() error {
	sys := r.cfg.System
	data, err := sys.ReadFile(r.File)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", r.File, err)
	}
	doc, err := env.Parse(r.File, data)
	if err != nil {
		return remedy.With(err, "have the keys written to a file with --output, and put them into the environment by hand")
	}
	encrypt, sign, err := r.pair()
	if err != nil {
		return err
	}
	text, err := doc.Rotated(encrypt, sign, sys.Now())
	if err != nil {
		return err
	}
	if again, err := sys.ReadFile(r.File); err != nil || !bytes.Equal(again, data) {
		return remedy.Passing(remedy.With(fmt.Errorf("cannot change %s: somebody else has changed it meanwhile", r.File), "run it again"))
	}
	path, err := r.unlinked()
	if err != nil {
		return err
	}
	return sys.WriteFile(path, text, 0o600)
}

// unlinked is the file itself, where the environment is a link to it.
func (r *Rotation) unlinked() (string, error) {
	sys := r.cfg.System
	if _, err := sys.Readlink(r.File); err != nil {
		return r.File, nil
	}
	real, err := filepath.EvalSymlinks(sys.Path(r.File))
	if err != nil {
		return "", fmt.Errorf("cannot find %s: %w", r.File, err)
	}
	rest, err := filepath.Rel(sys.Root(), real)
	if err != nil || strings.HasPrefix(rest, "..") {
		return "", remedy.With(fmt.Errorf("cannot change %s: it leads to %s", r.File, real), "have the keys written to a file with --output, and put them there by hand")
	}
	return "/" + rest, nil
}

// Text makes a pair and answers what to put into the environment by hand.
func (r *Rotation) Text() ([]byte, error) {
	encrypt, sign, err := r.pair()
	if err != nil {
		return nil, err
	}
	old := r.doc.Settings().Vault
	var b bytes.Buffer
	fmt.Fprintf(&b, "# New keys of the storage vault. Put these in the place of the keys of the same names, wherever this environment\n# comes from (%s), and delete this file.\necs:\n", r.doc.Origin)
	writeKey(&b, "  vault_encrypt: ", encrypt)
	writeKey(&b, "  vault_sign: ", sign)
	writeRetired(&b, append([]string{old.Encrypt, old.Sign}, old.Retired...))
	return b.Bytes(), nil
}

func writeKey(b *bytes.Buffer, head, text string) {
	indent := strings.Repeat(" ", len(head)-len(strings.TrimLeft(head, " "))+2)
	b.WriteString(head + "|\n")
	for line := range strings.Lines(strings.TrimSpace(text)) {
		b.WriteString(indent + strings.TrimRight(line, " \r\n") + "\n")
	}
}

func writeRetired(b *bytes.Buffer, texts []string) {
	b.WriteString("  vault_retired:\n")
	for _, text := range texts {
		writeKey(b, "    - ", text)
	}
}

// MissingVaultKeys answers what to put into the environment so that it has every key of the vault that this host has; nil where nothing is missing.
func MissingVaultKeys(ctx context.Context, cfg Config) ([]byte, error) {
	doc, err := NextEnv(ctx, cfg)
	if err != nil {
		return nil, err
	}
	set := doc.Settings()
	missing, err := readingWalk(cfg).vaultHome(set).Missing(vaultKeys(set))
	if len(missing) == 0 || err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Keys that old documents need. Put this list in the place of ecs.vault_retired, wherever this environment comes from\n# (%s), and delete this file.\necs:\n", doc.Origin)
	writeRetired(&b, append(set.Vault.Retired, missing...))
	return b.Bytes(), nil
}

// VaultStatus holds the vault's keys against the environment in force, or else against what the next start would take.
func VaultStatus(ctx context.Context, cfg Config) (vault.Status, error) {
	w := readingWalk(cfg)
	doc, err := w.environment()
	if err != nil {
		if doc, err = NextEnv(ctx, cfg); err != nil {
			return vault.Status{}, err
		}
	}
	set := doc.Settings()
	return w.vaultHome(set).Status(vaultKeys(set))
}
