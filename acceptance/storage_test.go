package acceptance

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"appliance/internal/rig"
)

func TestStorage(t *testing.T) {
	t.Parallel()
	b := newBox(t, rig.Trixie())
	b.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  ssl: {letsencrypt: {enabled: false}}\n"), 0o600)
	for _, step := range []struct {
		name string
		run  func(*box)
	}{
		{"without its volumes it makes nothing", withoutVolumes},
		{"with them it serves", withVolumes},
		{"a volume that becomes read-only is a failure", readOnlyVolume},
		{"a volume that goes away is a failure", volumeGone},
		{"a volume that fills stops whoever writes", volumeFull},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&box{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

// disk is a file system of 128 MB on a device of its own.
func (b *box) disk(label string) (device string) {
	b.t.Helper()
	image := filepath.Join(b.t.TempDir(), label)
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Truncate(image, 128<<20); err != nil {
		b.t.Fatal(err)
	}
	if out, err := exec.CommandContext(b.t.Context(), "mkfs.ext4", "-q", "-L", label, image).CombinedOutput(); err != nil {
		b.t.Fatalf("cannot make a file system: %v: %s", err, out)
	}
	return b.Attach(image)
}

// failsBy expects a failure of the step, or of the watch where step is "", that says why.
func (b *box) failsBy(phase, why string) {
	b.t.Helper()
	b.awaitLine(90*time.Second, "failed in "+phase)
	if flag := string(b.ReadFile("/run/appliance-failed")); !strings.Contains(flag, why) {
		b.t.Errorf("the flag does not say %q:\n%s", why, flag)
	}
}

func (b *box) clears() {
	b.t.Helper()
	b.t.Log(strings.TrimSpace(b.Run("appliance", "clear")))
	b.awaitHealthy()
}

func withoutVolumes(b *box) {
	b.Run("systemctl", "start", "appliance")
	b.failsBy("prepare-appliance (mounts)", "cannot use /data: there is no file system labelled ecs-data")
	for _, path := range []string{"/data", "/volatile"} {
		if found := b.Run("sh", "-c", "ls -A "+path+" 2>/dev/null || true"); found != "" {
			b.t.Errorf("in the place of a volume there is %s", found)
		}
	}
}

func withVolumes(b *box) {
	b.Run("mount", "--bind", "/var/lib/containerd", "/var/lib/containerd") // what has a place of its own is not moved
	for path, label := range map[string]string{"/data": "ecs-data", "/volatile": "ecs-volatile"} {
		b.Run("mkdir", "-p", path)
		b.Run("mount", b.disk(label), path)
	}
	b.clears()
	var s struct {
		Volumes []struct {
			Path, Label, Level, Problem string
			Required, Mounted           bool
		}
	}
	if err := json.Unmarshal([]byte(b.Run("appliance", "storage", "status", "--json")), &s); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range s.Volumes[1:] {
		if !v.Required || !v.Mounted || v.Level != "ample" || v.Problem != "" {
			b.t.Errorf("a volume is %+v", v)
		}
	}
	b.t.Log(b.Run("appliance", "storage", "status"))
}

func readOnlyVolume(b *box) {
	before := b.containers()
	b.Run("mount", "-o", "remount,ro", "/volatile")
	b.failsBy("run", "cannot use /volatile: its file system")
	b.Run("mount", "-o", "remount,rw", "/volatile")
	b.clears()
	if after := b.containers(); after != before {
		b.t.Errorf("containers were touched:\n%s\n%s", before, after)
	}
}

func volumeGone(b *box) {
	before := b.containers()
	device := strings.TrimSpace(b.Run("findmnt", "-no", "SOURCE", "/volatile"))
	b.Run("umount", "/volatile")
	b.failsBy("run", "cannot use /volatile: its file system is not mounted any more")
	if found := b.Run("ls", "-A", "/volatile"); found != "" {
		b.t.Errorf("in the place of the volume there is %s", found)
	}
	b.clears() // which mounts it again
	if again := strings.TrimSpace(b.Run("findmnt", "-no", "SOURCE", "/volatile")); again != device {
		b.t.Errorf("%s is mounted, it was %s", again, device)
	}
	if after := b.containers(); after != before {
		b.t.Errorf("containers were touched:\n%s\n%s", before, after)
	}
}

func volumeFull(b *box) {
	records := b.records()
	b.Run("sh", "-c", "fallocate -l $(df --output=avail -B1 /data | tail -1) /data/fill || true")
	b.failsBy("run", "there is no room for data: /data has")
	running := strings.Fields(b.Run("docker", "ps", "--format", "{{.Names}}"))
	if len(running) != 1 || running[0] != "ecs-store-1" {
		b.t.Errorf("of a store and who writes to it there run %q", running)
	}
	if code, _ := b.visit("/"); code != 503 {
		b.t.Errorf("a visitor gets %d", code)
	}
	b.Run("rm", "/data/fill")
	b.clears()
	if after := b.records(); after < records {
		b.t.Errorf("there were %d records, and are %d", records, after)
	}
	log := b.Run("journalctl", "-u", "appliance", "-o", "cat")
	if told := strings.Count(log, "whoever writes is stopped\""); told > 1 {
		b.t.Errorf("it was told %d times:\n%s", told, log)
	}
}
