package disk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"appliance/env"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// crypt is a device that is encrypted with LUKS2, and open under a name.
type crypt struct{ env.Crypt }

func (c *crypt) name() string    { return "encryption of " + c.Device }
func (c *crypt) device() string  { return c.Device }
func (c *crypt) needs() []string { return []string{c.Device} }
func (c *crypt) makes() []string { return []string{c.opened()} }
func (c *crypt) opened() string  { return "/dev/mapper/" + c.Target }

// luks is what a header says.
type luks struct {
	Keyslots map[string]json.RawMessage
	Tokens   map[string]struct{ Type string }
	Segments map[string]struct{ Offset, Size string } // in bytes
}

func (l luks) hasTPM() bool {
	for _, token := range l.Tokens {
		if token.Type == "systemd-tpm2" {
			return true
		}
	}
	return false
}

// header reads the header; one of LUKS1 says nothing of keys and tokens.
func (c *crypt) header(ctx context.Context, r *run, d *Device) (l luks, err error) {
	out, err := r.sys.Query(ctx, "cryptsetup", "luksDump", "--dump-json-metadata", d.Path)
	if err == nil {
		err = json.Unmarshal([]byte(out), &l)
	}
	return l, err
}

func (c *crypt) see(ctx context.Context, r *run, d *Device) (Step, error) {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return Step{}, err
	}
	e := r.journal.of(c.name())
	own := c.own(e, has)
	begun := own || e.unfinished(d) && has.kind != "crypto_LUKS"
	for _, child := range d.children {
		on := r.devices[child]
		switch {
		case on.kind == "crypt" && on.Path == c.opened() && begun:
			return Step{State: ToDo, Why: "it was begun and is not finished", Commands: []string{"cryptsetup luksHeaderBackup " + d.Path}, anew: true}, nil
		case on.kind == "crypt" && on.Path == c.opened():
			if old, err := r.headerIsOld(d, has.uuid); old || err != nil {
				return Step{State: ToDo, Why: "the backup of its header is missing or old", Commands: []string{"cryptsetup luksHeaderBackup " + d.Path}}, err
			}
			if wants, err := c.wantsTPM(ctx, r, d); wants || err != nil {
				return Step{State: ToDo, Why: "the TPM does not open it yet", Commands: []string{"systemd-cryptenroll --tpm2-device=auto --tpm2-pcrs=7 " + d.Path}}, err
			}
			return Step{State: Done, Why: "it is open"}, nil
		case on.kind == "crypt":
			return Step{State: Refused, Why: fmt.Sprintf("it is open as %s, not as %s", on.Path, c.opened())}, nil
		}
	}
	if has.kind == "crypto_LUKS" && !begun {
		return Step{State: ToDo, Why: "it is locked", Commands: c.openCommands(d)}, nil
	}
	v, err := r.mayReplace(ctx, c.name(), d, own)
	return v.judged(append([]string{strings.Join(c.format(d, "…"), " ")}, c.openCommands(d)...)...), err
}

// own says that what is on the device has the identifier that was chosen for it by a format that is not finished.
func (c *crypt) own(e *entry, has content) bool {
	return e != nil && e.Done == nil && has.kind == "crypto_LUKS" && strings.EqualFold(has.uuid, e.UUIDs["luks"])
}

func (c *crypt) openCommands(d *Device) []string {
	return []string{"cryptsetup open --type luks " + d.Path + " " + c.Target}
}

// keySource is how the program gets at the key: from a file, or from standard input, so that no list of processes has it.
func (c *crypt) keySource(r *run) (option, input string) {
	if c.Phrase != "" {
		return "--key-file=-", c.Phrase
	}
	return "--key-file=" + r.sys.Path(c.KeyFile), ""
}

func (c *crypt) format(d *Device, uuid string) []string {
	return []string{"cryptsetup", "luksFormat", "--type", "luks2", "--batch-mode", "--uuid", uuid, d.Path}
}

func (c *crypt) take(ctx context.Context, r *run, d *Device) error {
	if err := c.hasKey(r); err != nil {
		return err
	}
	step, err := c.see(ctx, r, d)
	if err != nil || step.State != ToDo {
		return cmp.Or(err, step.refusal())
	}
	if !step.anew {
		return c.use(ctx, r, d)
	}
	uuid, whole, err := c.begun(ctx, r, d)
	if err != nil {
		return err
	}
	if !whole {
		if uuid, err = c.make(ctx, r, d); err != nil {
			return err
		}
	}
	if err := c.addKeys(ctx, r, d); err != nil {
		return err
	}
	if err := r.backUpHeader(ctx, d, uuid); err != nil {
		return err
	}
	if r.find(c.opened()) == nil {
		if err := c.open(ctx, r, d); err != nil {
			return err
		}
	}
	return c.blank(ctx, r)
}

// hasKey says that a key file is missing, before anything is begun.
func (c *crypt) hasKey(r *run) error {
	if c.KeyFile == "" {
		return nil
	}
	info, err := r.sys.Stat(c.KeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Phrase != "":
		return nil
	case err != nil:
		return remedy.With(fmt.Errorf("cannot use the key file of %s: %w", c.Device, err), "put the key there, or correct key_file in appliance.storage.setup")
	case info.Size() == 0:
		return remedy.With(fmt.Errorf("cannot use the key file of %s: %s is empty", c.Device, c.KeyFile), "put the key there, such as 64 bytes of /dev/urandom")
	case info.Mode().Perm()&0o077 != 0:
		r.log.Warn("others than root may read the key of a volume", "file", c.KeyFile, "mode", info.Mode().Perm(), "todo", "run `chmod 600 "+c.KeyFile+"`")
	}
	return nil
}

// begun says whether a format that was cut off had come to its end: then its key opens it. A header with a key that is not
// ours is nothing to be made again.
func (c *crypt) begun(ctx context.Context, r *run, d *Device) (uuid string, whole bool, err error) {
	e := r.journal.of(c.name())
	has, err := contentOf(ctx, r.sys, d)
	if err != nil || !c.own(e, has) {
		return "", false, err
	}
	if l, err := c.header(ctx, r, d); err == nil && len(l.Keyslots) == 0 {
		return "", false, nil
	}
	option, input := c.keySource(r)
	if _, err := r.sys.QueryInput(ctx, input, "cryptsetup", "open", "--test-passphrase", option, d.Path); err != nil {
		return "", false, c.explain(err)
	}
	return has.uuid, true, nil
}

func (c *crypt) make(ctx context.Context, r *run, d *Device) (uuid string, err error) {
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return "", err
	}
	v, err := r.mayReplace(ctx, c.name(), d, c.own(r.journal.of(c.name()), has)) // a header of its own, without a key
	if err != nil || !v.may {
		return "", cmp.Or(err, v.refusal())
	}
	uuids := r.journal.chosen(c.name(), v, map[string]string{"luks": newUUID()})
	if err := r.start(ctx, entry{Step: c.name(), UUIDs: uuids, Serial: v.serial}, d, v.wipe, uuids["luks"]); err != nil {
		return "", err
	}
	option, input := c.keySource(r)
	_, err = r.sys.CommandInput(ctx, input, append(c.format(d, uuids["luks"]), option)...)
	return uuids["luks"], err
}

// addKeys lets key file and TPM open the device too, where they are asked for and do not yet.
func (c *crypt) addKeys(ctx context.Context, r *run, d *Device) error {
	if c.Phrase != "" && c.KeyFile != "" && r.sys.Exists(c.KeyFile) {
		file := r.sys.Path(c.KeyFile)
		if _, err := r.sys.Query(ctx, "cryptsetup", "open", "--test-passphrase", "--key-file="+file, d.Path); err != nil {
			if _, err := r.sys.CommandInput(ctx, c.Phrase, "cryptsetup", "luksAddKey", "--batch-mode", "--key-file=-", d.Path, file); err != nil {
				return err
			}
		}
	}
	return c.enrol(ctx, r, d)
}

// tpmDevice is the TPM as the kernel hands it out; without one there is nothing to enrol with.
const tpmDevice = "/dev/tpmrm0"

func (c *crypt) tpmStep() string { return "TPM for " + c.Device }

// wantsTPM says whether the TPM is to open the device, does not yet, and was not tried with it before.
func (c *crypt) wantsTPM(ctx context.Context, r *run, d *Device) (bool, error) {
	if _, err := os.Stat(tpmDevice); !c.TPM || err != nil {
		return false, nil
	}
	if e := r.journal.of(c.tpmStep()); e != nil && e.Done != nil && d.seen != nil && e.UUIDs["luks"] == d.seen.uuid {
		return false, nil
	}
	return c.lacksToken(ctx, r, d)
}

// lacksToken says that a header has room for what the TPM opens, and does not have it: one of LUKS1 has none.
func (c *crypt) lacksToken(ctx context.Context, r *run, d *Device) (bool, error) {
	if _, err := r.sys.Query(ctx, "cryptsetup", "isLuks", "--type", "luks2", d.Path); err != nil {
		return false, nil
	}
	l, err := c.header(ctx, r, d)
	return err == nil && !l.hasTPM(), err
}

// enrol lets the TPM open the device. That it does not work is no failure: passphrase or key file open it all the same.
func (c *crypt) enrol(ctx context.Context, r *run, d *Device) error {
	if err := d.probe(ctx, r.sys); err != nil {
		return err
	}
	if wants, err := c.wantsTPM(ctx, r, d); err != nil || !wants {
		return err
	}
	if err := r.journal.begin(entry{Step: c.tpmStep(), UUIDs: map[string]string{"luks": d.seen.uuid}}); err != nil {
		return err
	}
	// PCR 7 is the state of Secure Boot: updates of kernel and firmware do not lock the device out.
	argv := []string{"systemd-cryptenroll", "--tpm2-device=auto", "--tpm2-pcrs=7", "--unlock-key-file=" + c.keyPath(r), d.Path}
	_, input := c.keySource(r)
	if _, err := r.sys.CommandInput(ctx, input, argv...); err != nil {
		r.log.Warn("the TPM will not open the device", "device", d.Path, "err", err, "todo", "see `systemd-cryptenroll --tpm2-device=list`, then `systemd-cryptenroll --tpm2-device=auto "+d.Path+"`")
	}
	return r.journal.end(c.tpmStep())
}

func (c *crypt) keyPath(r *run) string {
	if c.Phrase != "" {
		return "/dev/stdin"
	}
	return r.sys.Path(c.KeyFile)
}

// open opens the device: by the TPM if that may, else by the key.
func (c *crypt) open(ctx context.Context, r *run, d *Device) error {
	if l, err := c.header(ctx, r, d); err == nil && l.hasTPM() {
		if _, err := r.sys.Command(ctx, "cryptsetup", "open", "--token-only", "--token-type", "systemd-tpm2", d.Path, c.Target); err == nil {
			return r.again(ctx)
		}
		r.log.Warn("the TPM does not open the device, its key is tried", "device", d.Path)
	}
	option, input := c.keySource(r)
	if c.KeyFile != "" && c.Phrase != "" {
		if _, err := r.sys.Command(ctx, "cryptsetup", "open", "--type", "luks", "--key-file="+r.sys.Path(c.KeyFile), d.Path, c.Target); err == nil {
			return r.again(ctx)
		}
	}
	if _, err := r.sys.CommandInput(ctx, input, "cryptsetup", "open", "--type", "luks", option, d.Path, c.Target); err != nil {
		return c.explain(err)
	}
	return r.again(ctx)
}

// use opens what is locked, and sees to the backup of its header.
func (c *crypt) use(ctx context.Context, r *run, d *Device) error {
	if r.find(c.opened()) == nil {
		if err := c.open(ctx, r, d); err != nil {
			return err
		}
	}
	if err := c.enrol(ctx, r, d); err != nil {
		return err
	}
	has, err := contentOf(ctx, r.sys, d)
	if err != nil {
		return err
	}
	if old, err := r.headerIsOld(d, has.uuid); err != nil || !old {
		return err
	}
	return r.backUpHeader(ctx, d, has.uuid)
}

// explain says what an exit status of cryptsetup(8) means: 2 is a key that does not fit.
func (c *crypt) explain(err error) error {
	if system.Status(err) == 2 {
		return remedy.With(fmt.Errorf("cannot open %s: it is locked, and the key of the environment does not fit", c.Device),
			"set the right password or key_file in appliance.storage.setup.crypt, then run `appliance clear`")
	}
	return fmt.Errorf("cannot open %s: %w: %w", c.Device, errKernel("dm_crypt"), err)
}

// errKernel is the usual reason where a kernel lacks what volumes are made with.
func errKernel(module string) error { return fmt.Errorf("(does the kernel have %s?)", module) }

// blank empties what a new device shows: noise, in which anything may seem to stand. Where there is a signature, somebody has
// used it meanwhile.
func (c *crypt) blank(ctx context.Context, r *run) error {
	d := r.find(c.opened())
	if d == nil {
		return fmt.Errorf("cannot find %s: it is not open", c.opened())
	}
	has, err := contentOf(ctx, r.sys, d)
	if err != nil || has.kind != "" || has.table != "" {
		return err
	}
	return r.empty(ctx, d.Path, [2]uint64{0, d.Size})
}
