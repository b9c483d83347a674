package disk

import (
	"bytes"
	"compress/gzip"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
	"appliance/internal/remedy"
)

const cryptLayout = `
ignore: {data: true, volatile: true}
setup:
  parted:
    DISK: {parts: [{name: safe, start: 1MiB, end: 100%}]}
  crypt:
    DISKp1: {target: appliance-test-LABEL, password: "correct horse battery"}
`

// quickLUKS puts a cryptsetup first in PATH that derives keys as quickly as can be, and notes its arguments.
func quickLUKS(t *testing.T) (argv func() string) {
	t.Helper()
	real, err := exec.LookPath("cryptsetup")
	if err != nil {
		tool(t, "cryptsetup", "--version")
	}
	dir := t.TempDir()
	script := `#!/bin/sh
echo "$@" >>` + dir + `/argv
case "$1" in luksFormat | luksAddKey) exec ` + real + ` "$@" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 ;; esac
exec ` + real + ` "$@"
`
	must(t, os.WriteFile(filepath.Join(dir, "cryptsetup"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		data, _ := os.ReadFile(filepath.Join(dir, "argv")) // nothing yet
		return string(data)
	}
}

// hasMapper says whether the kernel has device mapper: without it a device can be formatted, and not be opened.
func hasMapper() bool {
	_, err := os.Stat("/dev/mapper/control")
	return err == nil && exec.Command("dmsetup", "version").Run() == nil
}

// opened applies the layout up to where the kernel is to open the device.
func (b *box) opened(layout string) {
	b.t.Helper()
	err := b.apply(layout)
	if hasMapper() {
		must(b.t, err)
		b.t.Cleanup(func() { tool(b.t, "cryptsetup", "close", wanted(b.t, layout).Crypts[0].Target) })
		return
	}
	if err == nil || !strings.Contains(err.Error(), "does the kernel have dm_crypt?") {
		b.t.Fatalf("it says %v", err)
	}
}

func TestEncryption(t *testing.T) {
	argv := quickLUKS(t)
	device, file := loop(t, 64<<20)
	part := device + "p1"
	layout := labelled(device, cryptLayout)
	b := newBox(t)
	b.opened(layout)
	if strings.Contains(argv()+strings.Join(b.effects, " "), "correct") {
		t.Errorf("the passphrase can be seen:\n%s%q", argv(), b.effects)
	}
	uuid := strings.TrimSpace(tool(t, "cryptsetup", "luksUUID", part))
	header := b.sys.Path(HeaderPath(uuid))
	if info, err := os.Stat(header); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("there is no backup of the header: %v, %v", info, err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	headers, err := Headers(b.sys)
	must(t, err)
	_, err = z.Write(headers[0].Data)
	if must(t, err, z.Close()); len(headers) != 1 || len(headers[0].Data) != 16<<20 || zipped.Len() > 1<<20 {
		t.Errorf("%d headers, the first of %d bytes, packed %d", len(headers), len(headers[0].Data), zipped.Len())
	}
	for key, fits := range map[string]bool{"correct horse battery": true, "wrong": false} {
		for _, of := range []string{part, header} {
			cmd := exec.Command("cryptsetup", "open", "--test-passphrase", "--key-file=-", "--header", header, of)
			cmd.Stdin = strings.NewReader(key)
			if err := cmd.Run(); (err == nil) != fits {
				t.Errorf("%q opens %s: %v", key, of, err)
			}
		}
	}
	locks, err := Locks(t.Context(), b.sys, wanted(t, layout))
	must(t, err)
	state := LockLocked
	if hasMapper() {
		state = LockOpen
	}
	if diff := cmp.Diff([]Lock{{Name: "appliance-test-t" + filepath.Base(device), Device: part, State: state}}, locks); diff != "" {
		t.Error(diff)
	}
	if hasMapper() {
		return
	}
	before := sum(t, file)
	if err := b.apply(strings.ReplaceAll(layout, "correct horse", "wrong")); err == nil || !strings.Contains(err.Error(), "it is locked, and the key of the environment does not fit") || remedy.Of(err) == "" {
		t.Errorf("with the wrong key it says %v (%s)", err, remedy.Of(err))
	}
	if !bytes.Equal(before, sum(t, file)) {
		t.Error("with the wrong key the disk is not as it was")
	}
}

// The backup puts back what somebody has taken away from the device.
func TestAHeaderComesBack(t *testing.T) {
	quickLUKS(t)
	device, _ := loop(t, 64<<20)
	b := newBox(t)
	b.opened("ignore: {data: true, volatile: true}\nsetup: {crypt: {" + device + ": {password: geheim}}}")
	uuid := strings.TrimSpace(tool(t, "cryptsetup", "luksUUID", device))
	writeAt(t, device, 0, make([]byte, 16<<20))
	tool(t, "cryptsetup", "luksHeaderRestore", "--batch-mode", device, "--header-backup-file", b.sys.Path(HeaderPath(uuid)))
	cmd := exec.Command("cryptsetup", "open", "--test-passphrase", "--key-file=-", device)
	cmd.Stdin = strings.NewReader("geheim")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the passphrase does not open it: %v: %s", err, out)
	}
}

// A format that was cut off is made again where its key was not written yet, gone on with where it was, and never taken for
// ours where another key opens it.
func TestEncryptionCutInItsMiddle(t *testing.T) {
	quickLUKS(t)
	const size = 64 << 20
	device, file := loop(t, size)
	part := device + "p1"
	layout := labelled(device, cryptLayout)
	format := func(t *testing.T, b *box, key string) {
		path := filepath.Join(t.TempDir(), "key")
		must(t, os.WriteFile(path, []byte(key), 0o600))
		tool(t, "cryptsetup", "luksFormat", "--batch-mode", "--uuid", b.chosen("encryption of "+part, "luks"), "--key-file", path, part)
	}
	for _, test := range []struct {
		name    string
		half    func(t *testing.T, b *box)
		formats int
		says    string
	}{
		{"before its first sector", func(*testing.T, *box) {}, 1, ""},
		{"noise where keys will be", func(t *testing.T, b *box) { writeAt(t, part, 32<<10, bytes.Repeat([]byte{0xa5}, 900<<10)) }, 1, ""},
		{"a header without a key", func(t *testing.T, b *box) {
			format(t, b, "x")
			tool(t, "cryptsetup", "luksErase", "--batch-mode", part)
		}, 1, ""},
		{"a header with its key", func(t *testing.T, b *box) { format(t, b, "correct horse battery") }, 0, ""},
		{"a header with another key", func(t *testing.T, b *box) { format(t, b, "x") }, 0, "the key of the environment does not fit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			clean(t, device, file, size)
			b := newBox(t)
			b.until(layout, "exec cryptsetup luksFormat")
			test.half(t, b)
			tool(t, "blockdev", "--flushbufs", device)
			if test.says == "" {
				b.opened(layout)
			} else if err := b.apply(layout); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v", err)
			}
			if n := b.ran("cryptsetup luksFormat"); n != test.formats {
				t.Errorf("it was formatted %d times: %q", n, b.effects)
			}
		})
	}
}

// What is encrypted with a key that is not ours stays so: it is opened or refused, and never formatted, not even by its serial.
func TestEncryptionOfSomebodyElse(t *testing.T) {
	quickLUKS(t)
	device, file := loop(t, 64<<20)
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte("theirs"), 0o600))
	tool(t, "cryptsetup", "luksFormat", "--batch-mode", "--key-file", key, device)
	tool(t, "sync", device)
	before := sum(t, file)
	b := newBox(t)
	withSerial(t, "S1")
	err := b.apply("ignore: {data: true, volatile: true}\noverwrite: [S1]\nsetup: {crypt: {" + device + ": {password: ours}}}")
	if err == nil || errors.Is(err, ErrRefused) || b.ran("cryptsetup luksFormat") > 0 {
		t.Errorf("it says %v, with the effects %q", err, b.effects)
	}
	if !bytes.Equal(before, sum(t, file)) {
		t.Error("the disk is not as it was")
	}
}

func TestAKeyFileThatIsNotThere(t *testing.T) {
	device, _ := loop(t, 64<<20)
	b := newBox(t)
	layout := "ignore: {data: true, volatile: true}\nsetup: {crypt: {" + device + ": {key_file: /root/data.key}}}"
	if err := b.apply(layout); err == nil || remedy.Of(err) == "" || b.ran("cryptsetup") > 0 {
		t.Errorf("it says %v (%s), with the effects %q", err, remedy.Of(err), b.effects)
	}
}

// withSerial puts an lsblk first in PATH that gives every disk a serial number: loop devices have none.
func withSerial(t *testing.T, serial string) {
	t.Helper()
	real, err := exec.LookPath("lsblk")
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "lsblk"), []byte("#!/bin/sh\n"+real+` "$@" | sed 's/"serial": *null/"serial": "`+serial+`"/'`+"\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// The serial number of a disk gives up what is on it: the disk of that number alone, never what is in use, and never our own data.
func TestGivenUpBySerial(t *testing.T) {
	const size = 64 << 20
	device, file := loop(t, size)
	withSerial(t, "S1")
	table := "ignore: {data: true, volatile: true}\nsetup: {parted: {DISK: {parts: [{name: fresh, start: 1MiB, end: 100%}]}}, format: {DISKp1: {fstype: ext4, options: -L LABEL}}}\n"
	for _, test := range []struct {
		name   string
		serial string
		write  func(t *testing.T)
		refuse string
	}{
		{"a filesystem", "S1", func(t *testing.T) { tool(t, "mkfs.ext4", "-q", device) }, ""},
		{"partitions with filesystems", "S1", func(t *testing.T) {
			tool(t, "sh", "-c", "printf ',30M\n,30M\n' | sfdisk --quiet --label gpt "+device)
			tool(t, "partx", "--update", device)
			tool(t, "mkfs.ext4", "-q", device+"p1")
			tool(t, "mkswap", device+"p2")
		}, ""},
		{"noise", "S1", func(t *testing.T) { writeAt(t, device, 1<<20, bytes.Repeat([]byte{7}, size-2<<20)) }, ""},
		{"of another disk", "S2", func(t *testing.T) { tool(t, "mkfs.ext4", "-q", device) }, "it holds a filesystem of the type ext4"},
		{"our own data", "S1", func(t *testing.T) { tool(t, "mkfs.ext4", "-q", "-L", "ecs-data", device) }, "is a filesystem with the label ecs-data, which is never overwritten"},
		{"our own data on a partition", "S1", func(t *testing.T) {
			tool(t, "sh", "-c", "printf ',30M\n,30M\n' | sfdisk --quiet --label gpt "+device)
			tool(t, "partx", "--update", device)
			tool(t, "mkfs.ext4", "-q", "-L", "ecs-volatile", device+"p2")
		}, "with the label ecs-volatile, which is never overwritten"},
		{"what is in use", "S1", func(t *testing.T) {
			tool(t, "mkfs.ext4", "-q", device)
			dir := t.TempDir()
			tool(t, "mount", device, dir)
			t.Cleanup(func() { tool(t, "umount", dir) })
		}, "it is in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			clean(t, device, file, size)
			test.write(t)
			b := newBox(t)
			layout := labelled(device, table+"overwrite: ["+test.serial+"]")
			err := b.apply(layout)
			if test.refuse == "" {
				must(t, err)
				b.effects = nil
				must(t, b.apply(layout))
				if len(b.effects) > 0 { // the number still stands there, and data may be on it by now
					t.Errorf("the second time has the effects %q", b.effects)
				}
				return
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.refuse) || len(b.effects) > 0 {
				t.Errorf("it says %v, with the effects %q", err, b.effects)
			}
		})
	}
}

// A key that anybody on the host may read keeps nobody out who has got in: that is told, and no failure.
func TestAKeyFileThatAnybodyMayRead(t *testing.T) {
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o644: true, 0o640: true} {
		b := newBox(t)
		must(t, b.sys.WriteFile("/root/data.key", []byte("key"), mode))
		var told strings.Builder
		v := New(Config{System: b.sys, Log: slog.New(slog.NewTextHandler(&told, nil))})
		err := (&crypt{env.Crypt{Device: "/dev/vdb", KeyFile: "/root/data.key"}}).hasKey(&run{Volumes: v})
		if must(t, err); strings.Contains(told.String(), "chmod 600 /root/data.key") != warns {
			t.Errorf("of %o it says %q", mode, told.String())
		}
	}
}

// LUKS1 has no place for what a TPM opens: it is used as it is.
func TestATPMAndLUKS1(t *testing.T) {
	quickLUKS(t)
	device, _ := loop(t, 64<<20)
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte("geheim"), 0o600))
	tool(t, "cryptsetup", "luksFormat", "--type", "luks1", "--batch-mode", "--key-file", key, device)
	r, err := newBox(t).volumes("ignore: {data: true, volatile: true}\nsetup: {crypt: {" + device + ": {password: geheim, tpm2: true}}}").begin(t.Context())
	must(t, err)
	if wants, err := (&crypt{r.wanted.Crypts[0]}).lacksToken(t.Context(), r, r.find(device)); wants || err != nil {
		t.Errorf("it wants one: %v, %v", wants, err)
	}
}
