package disk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"appliance/env"
	"appliance/internal/sweeping"
	"appliance/internal/system"
)

func TestMain(m *testing.M) { os.Exit(sweeping.Main(m, applyUntilKilled)) }

// applyUntilKilled applies the layout of an environment to the host below a root.
func applyUntilKilled(v *sweeping.Victim) error {
	sys := system.New(system.Config{Root: v.Setting("root"), Observe: v.Observe})
	doc, err := env.Parse("env.yml", []byte(v.Setting("env")))
	if err != nil {
		return err
	}
	return New(Config{System: sys, Wanted: doc.Volumes(), Log: quiet()}).Apply(context.Background(), func(Step) {})
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// tool runs a program of the host. A test whose program is missing or may not do its work is skipped, unless APPLIANCE_TOOLS=require.
func tool(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("APPLIANCE_TOOLS") == "require":
		t.Fatalf("%q: %v: %s", argv, err, out)
	default:
		t.Skipf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// loop is a disk: a file behind a loop device, whose kernel need not know partition tables.
func loop(t *testing.T, size int64) (device, file string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has devices")
	}
	file = filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(file, nil, 0o600), os.Truncate(file, size))
	device = strings.TrimSpace(tool(t, "losetup", "--partscan", "--find", "--show", file))
	t.Cleanup(func() {
		_ = exec.Command("partx", "--delete", device).Run() // where there are partitions
		tool(t, "losetup", "--detach", device)
	})
	return device, file
}

// box is a host below a root, with disks of its own.
type box struct {
	t       *testing.T
	root    string
	sys     *system.System
	effects []string
}

func newBox(t *testing.T) *box {
	b := &box{t: t, root: t.TempDir()}
	b.sys = system.New(system.Config{Root: b.root, Observe: func(e system.Effect) error {
		b.effects = append(b.effects, e.String())
		return nil
	}})
	t.Cleanup(func() {
		out, _ := exec.Command("findmnt", "--raw", "--noheadings", "--output", "TARGET").Output()
		for place := range strings.Lines(string(out)) {
			if strings.HasPrefix(place, b.root+"/") {
				tool(t, "umount", strings.TrimSpace(place))
			}
		}
	})
	return b
}

func (b *box) volumes(layout string) *Volumes {
	b.t.Helper()
	return New(Config{System: b.sys, Wanted: wanted(b.t, layout), Log: quiet()})
}

// document is an environment with such a layout.
func document(layout string) string {
	return "#cloud-config\nappliance:\n  domain: x\n  storage:\n    " + strings.ReplaceAll(strings.TrimSpace(layout), "\n", "\n    ") + "\n"
}

func wanted(t *testing.T, layout string) env.Volumes {
	t.Helper()
	doc, err := env.Parse("env.yml", []byte(document(layout)))
	must(t, err)
	must(t, doc.Validate())
	return doc.Volumes()
}

func (b *box) apply(layout string) error {
	b.t.Helper()
	return b.volumes(layout).Apply(b.t.Context(), func(s Step) { b.t.Logf("%-5s %s: %s", s.State, s.What, s.Why) })
}

func (b *box) plan(layout string) Plan {
	b.t.Helper()
	p, err := b.volumes(layout).Plan(b.t.Context())
	must(b.t, err)
	return p
}

const dataLayout = `
ignore: {volatile: true}
setup:
  parted:
    DISK: {parts: [{name: data, start: 1MiB, end: 60%}, {name: swap, start: 60%, end: 100%, flags: [swap]}]}
  format:
    DISKp1: {fstype: ext4, options: ["-L ecs-data", "-m 1"]}
  mount:
    /mnt/archive: {device: DISKp1, fstype: ext4, opts: noatime, mkmnt: true}
`

func on(device, layout string) string { return strings.ReplaceAll(layout, "DISK", device) }

func TestAnEmptyDiskBecomesData(t *testing.T) {
	t.Parallel()
	device, _ := loop(t, 64<<20)
	b := newBox(t)
	layout := uniquely(on(device, dataLayout), device)
	must(t, b.apply(layout))
	for _, dir := range []string{"/mnt/archive"} {
		if at := strings.TrimSpace(tool(t, "findmnt", "--noheadings", "--output", "SOURCE,FSTYPE", "--mountpoint", b.sys.Path(dir))); strings.Join(strings.Fields(at), " ") != device+"p1 ext4" {
			t.Errorf("at %s is %q", dir, at)
		}
	}
	b.effects = nil
	must(t, b.apply(layout))
	if len(b.effects) > 0 {
		t.Errorf("the second time has the effects %q", b.effects)
	}
	if work := b.plan(layout).Work(); work != "" {
		t.Errorf("there is work left: %s", work)
	}
}

// uniquely gives the label of data a name of its own: labels are one for the whole host, and tests run beside each other.
func uniquely(layout, device string) string {
	return strings.NewReplacer("ecs-data", "d"+filepath.Base(device), "ignore: {volatile: true}", "ignore: {volatile: true, data: true}").Replace(layout)
}
