package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/rig"
)

// reporting is stopped with the database, and by nobody else started again.
const reporting = `[Unit]
Description=Who needs the database
Requires=postgresql.service
After=postgresql.service
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
`

// Without udev there are no units of devices, so none of a mount.
const dataVolume = `[Unit]
DefaultDependencies=no
After=systemd-tmpfiles-setup.service
Before=appliance.service postgresql.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount DEVICE /data
[Install]
RequiredBy=appliance.service
`

// A host gets a data volume after its database has run on the root disk. The power fails while that is moved.
func TestRelocation(t *testing.T) {
	t.Parallel()
	b := newBox(t, rig.Trixie())
	b.WriteFile("/app/env.yml", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  storage: {ignore: {volatile: true}}\n  ssl: {letsencrypt: {enabled: false}}\n"), 0o600)
	device := b.Attach(dataImage(t))
	b.WriteFile("/etc/systemd/system/data-volume.service", []byte(strings.ReplaceAll(dataVolume, "DEVICE", device)), 0o644)
	b.WriteFile("/etc/systemd/system/reporting.service", []byte(reporting), 0o644)
	b.Run("mkdir", "-p", "/data")
	d := database{t, b}
	d.create("/var/lib/postgresql")
	before := d.base()
	b.Run("systemctl", "daemon-reload")
	b.Run("systemctl", "enable", "--now", "data-volume", "postgresql", "reporting")
	b.Eventually(10*time.Second, "the database to write", func() bool { return d.counted() > 20 })

	b.Run("systemctl", "start", "--no-block", "appliance")
	b.Eventually(time.Minute, "the move to be under way", func() bool {
		_, _, code := b.Try(t.Context(), "test", "-e", "/data/.postgresql.relocating/base/relationaaaa")
		return code == 0
	})
	b.PowerCut()
	b.PowerOn()
	if journal, _, code := b.Try(t.Context(), "cat", "/var/lib/appliance/relocations/var-lib-postgresql.json"); code == 0 {
		t.Logf("after the cut the journal says %s", journal)
	}
	b.awaitHealthy()

	if leads := strings.TrimSpace(b.Run("readlink", "/var/lib/postgresql")); leads != "/data/postgresql" {
		t.Errorf("at the old place is a link to %q", leads)
	}
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(d.base(), "\n")); diff != "" {
		t.Errorf("what was moved (-before +after):\n%s", diff)
	}
	had := d.counted()
	b.Eventually(10*time.Second, "the database to go on", func() bool { return d.counted() > had })
	if on := strings.Fields(b.Run("df", "--output=source", "/var/lib/postgresql/log"))[1]; on != device {
		t.Errorf("it writes to %s, not to %s", on, device)
	}
	if active := strings.Fields(b.Run("systemctl", "is-active", "postgresql", "reporting")); active[0] != "active" || active[1] != "active" {
		t.Errorf("the database and who needs it are %q", active)
	}
	if left := b.Run("sh", "-c", "ls -d /data/.postgresql* /var/lib/.postgresql* /var/lib/appliance/relocations/* 2>/dev/null || true"); left != "" {
		t.Errorf("these are left: %s", left)
	}
	log := b.Run("journalctl", "--no-pager", "--unit", "appliance", "--output", "cat")
	for line := range strings.Lines(log) {
		if strings.Contains(line, "mov") && strings.Contains(line, "postgresql") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if begun := strings.Count(log, "moving /var/lib/postgresql to /data/postgresql by=copy"); begun < 2 {
		t.Errorf("the move was begun %d times: the cut was not in the middle of it", begun)
	}
	fmt.Printf("relocation of a database with a power cut in the middle: %d numbers, none lost\n", had)
}

// dataImage is an empty file system with the label of the data volume.
func dataImage(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-L", "ecs-data", image).CombinedOutput(); err != nil {
		t.Fatalf("cannot make a file system: %v: %s", err, out)
	}
	return image
}
