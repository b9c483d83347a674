package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/internal/rig"
)

// ownAddress makes the address of the clouds' metadata services one of the machine's own.
const ownAddress = `[Unit]
Description=Address of metadata services
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip address replace 169.254.169.254/32 dev lo
`

// newBareBox is a box without an environment, which asks the network for one. All it can reach there is itself: without the
// address on its loopback the appliance does not start, at no boot.
func newBareBox(t *testing.T) *box {
	b := newBox(t, rig.Trixie())
	b.WriteFile("/etc/systemd/system/metadata-address.service", []byte(ownAddress), 0o644)
	b.WriteFile("/etc/systemd/system/appliance.service.d/metadata-address.conf",
		[]byte("[Unit]\nRequires=metadata-address.service\nAfter=metadata-address.service\n"), 0o644)
	b.Run("systemctl", "daemon-reload")
	b.Run("systemctl", "start", "metadata-address")
	if route := b.Run("ip", "route", "get", "169.254.169.254"); !strings.HasPrefix(route, "local ") {
		t.Fatalf("the metadata services' address leads out of the machine: %s", route)
	}
	b.Run("sh", "-c", "echo 127.0.0.2 metadata.google.internal >>/etc/hosts") // not where visitors are received
	if found := b.Run("getent", "hosts", "metadata.google.internal"); !strings.HasPrefix(found, "127.0.0.2 ") {
		t.Fatalf("Google's metadata service is not looked for in the machine: %s", found)
	}
	b.Run("rm", "/app/env.yml")
	return b
}

// answers is what `appliance env sources --json` answers.
type answers struct {
	Found   struct{ Source, Origin string }
	Cached  bool
	Sources []struct{ Source, Place, Outcome, Detail string }
}

// sources asks where an environment comes from now.
func (b *box) sources() (a answers) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.Run("appliance", "env", "sources", "--json")), &a); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("from %s: %s", a.Found.Source, a.Found.Origin)
	return a
}

func TestEnvironmentFromSeeds(t *testing.T) {
	t.Parallel()
	b := newBareBox(t)
	for _, step := range []struct {
		name string
		run  func(*box)
	}{
		{"a seed directory is enough", seeded},
		{"a layer of the host is laid over it", layered},
		{"back by itself after a reboot, layers and all", layeredRebooted},
		{"systemd reads what is flattened for it", flattened},
		{"a cidata disk is enough, and is not touched", seededByDisk},
		{"of two cidata disks none is taken", seededTwice},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&box{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

const seed = "/var/lib/cloud/seed/nocloud"

func seeded(b *box) {
	b.WriteFile(seed+"/meta-data", []byte("instance-id: box\n"), 0o644)
	b.WriteFile(seed+"/user-data", []byte("#cloud-config\nappliance:\n  domain: box.example.org\n  storage: {ignore: {data: true, volatile: true}}\n"), 0o600)
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	if from := b.sources().Found; from.Source != "nocloud" || from.Origin != seed+"/user-data" {
		b.t.Errorf("the environment comes from %+v", from)
	}
}

const site = "/app/env.d/10-site.yml"

func layered(b *box) {
	b.WriteFile(site, []byte("# ours\nappliance:\n  domain: site.example.org\n"), 0o600)
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload")))
	b.fromLayer()
}

// fromLayer expects the domain to be known as the layer's, in the place of the seed's.
func (b *box) fromLayer() {
	b.t.Helper()
	said := strings.Join(strings.Fields(b.Run("appliance", "env", "explain", "appliance.domain")), " ")
	want := fmt.Sprintf("value site.example.org (%s:3) instead of box.example.org (%s/user-data:3)", site, seed)
	if !strings.Contains(said, want) {
		b.t.Errorf("the domain is explained by %q, want in it %q", said, want)
	}
	if active := string(b.ReadFile("/run/active-env.yml")); !strings.Contains(active, "domain: site.example.org") {
		b.t.Errorf("in force is:\n%s", active)
	}
}

func layeredRebooted(b *box) {
	b.Reboot()
	b.awaitHealthy()
	b.fromLayer()
}

// awkward are values that formats of environment files like to get wrong.
var awkward = map[string]string{
	"ECS_BACKSLASH": `C:\new\table \\ \" \$ \`, "ECS_BACKTICK": "`id`", "ECS_BLANKS": "  before and after  ", "ECS_CONTINUED": "one \\\ntwo\\\n",
	"ECS_DOLLAR": "$HOME ${PATH} $$ $(id) $", "ECS_EMPTY": "", "ECS_EQUALS": "a=b=c", "ECS_HASH": "# no #comment ; either", "ECS_LINES": "one\n\ntwo\n",
	"ECS_PERCENT": "%h %% %n", "ECS_QUOTES": `"it's" 'said' "`, "ECS_RETURN": "one\r\ntwo\r", "ECS_TABS": "\tone\ttwo\t", "ECS_UNICODE": "Grüße, 日本語 🚀 \u00a0",
}

const printer = `[Service]
Type=oneshot
EnvironmentFile=/root/flat.env
ExecStart=/usr/bin/env --null
StandardOutput=truncate:/root/environment
`

func flattened(b *box) {
	below := map[string]string{}
	for name, value := range awkward {
		below[strings.ToLower(strings.TrimPrefix(name, "ECS_"))] = value
	}
	document, err := json.Marshal(map[string]any{"appliance": map[string]any{"domain": "box.example.org"}, "ecs": below}) // JSON is YAML
	if err != nil {
		b.t.Fatal(err)
	}
	b.WriteFile("/root/flat.yml", document, 0o600)
	b.Run("sh", "-c", "appliance env flatten --format systemd --file /root/flat.yml ecs,appliance >/root/flat.env")
	b.WriteFile("/etc/systemd/system/print.service", []byte(printer), 0o644)
	b.Run("systemctl", "daemon-reload")
	b.Run("systemctl", "start", "print")

	want, got := map[string]string{"APPLIANCE_DOMAIN": "box.example.org"}, map[string]string{}
	for name, value := range awkward {
		want[name] = strings.TrimSpace(value) // as flattening always did
	}
	for variable := range strings.SplitSeq(string(b.ReadFile("/root/environment")), "\x00") {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "ECS_") || strings.HasPrefix(name, "APPLIANCE_") {
			got[name] = value
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("what a unit gets differs (-want +got):\n%s", diff)
	}
}

func seededByDisk(b *box) {
	b.Run("systemctl", "stop", "appliance")
	b.Run("rm", "-r", seed, filepath.Dir(site))
	device := b.Attach(seedDisk(b.t))
	before := b.Run("sha256sum", device)
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	if from := b.sources().Found; from.Source != "nocloud" || !strings.Contains(from.Origin, device+" ") {
		b.t.Errorf("the environment comes from %+v, want it from %s", from, device)
	}
	if said := b.Run("appliance", "env", "explain", "appliance.domain"); !strings.Contains(said, "disk.example.org") {
		b.t.Errorf("the domain is not that of the disk:\n%s", said)
	}
	if after := b.Run("sha256sum", device); after != before {
		b.t.Errorf("the disk was written to: %s, it was %s", after, before)
	}
	if mounted := b.Run("sh", "-c", "grep "+device+" /proc/mounts || true"); mounted != "" {
		b.t.Errorf("the disk is still mounted: %s", mounted)
	}
}

// seedDisk makes an environment and packs it on this host, by the very program that is in the package. It returns the
// image of the disk.
func seedDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	env := filepath.Join(dir, "env.yml")
	program := filepath.Join(dir, "package/usr/bin/appliance")
	for _, argv := range [][]string{
		{"dpkg-deb", "--extract", os.Getenv("APPLIANCE_DEB"), filepath.Join(dir, "package")},
		{program, "env", "create", "disk.example.org", env},
		{program, "env", "package", env},
	} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("cannot make a seed: %v: %v\n%s", argv, err, out)
		}
	}
	return filepath.Join(dir, "env-cidata.iso")
}

func seededTwice(b *box) {
	first := strings.Fields(b.sources().Found.Origin)[2]
	second := b.Attach(seedDisk(b.t))
	before := b.ids()
	b.Run("systemctl", "reload", "appliance")
	b.awaitLine(time.Minute, "failed in prepare-env (source)")
	b.serving(before)
	flag := string(b.ReadFile("/run/appliance-failed"))
	if devices := []string{first, second}; slices.ContainsFunc(devices, func(device string) bool { return !strings.Contains(flag, device+" ") }) {
		b.t.Errorf("the flag does not name both of %v:\n%s", devices, flag)
	}
	b.Detach(second)
	b.t.Log(strings.TrimSpace(b.Run("appliance", "clear")))
	b.awaitHealthy()
}
