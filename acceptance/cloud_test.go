package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const metadataUnit = `[Unit]
Description=Metadata service of a cloud
Requires=metadata-address.service
After=metadata-address.service
Before=appliance.service
[Service]
Type=notify
ExecStart=/usr/local/bin/metadata 169.254.169.254:80 /etc/metadata
[Install]
WantedBy=multi-user.target
`

func TestEnvironmentFromACloud(t *testing.T) {
	t.Parallel()
	b := newBareBox(t)
	b.Copy(metadataService(t), "/usr/local/bin/metadata")
	b.WriteFile("/etc/systemd/system/metadata.service", []byte(metadataUnit), 0o644)
	b.userData("cloud.example.org")
	b.Run("systemctl", "daemon-reload")
	b.Run("systemctl", "enable", "--now", "metadata")
	for _, step := range []struct {
		name string
		run  func(*box)
	}{
		{"a metadata service is enough", served},
		{"nobody answers after a reboot", servedByNobody},
		{"the service is broken after a power cut", servedBroken},
		{"what the service says counts as soon as it can be had again", servedAgain},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&box{b.For(t), t, b.image}) }) {
			return // what follows builds on it
		}
	}
}

// metadataService builds the service and returns its path.
func metadataService(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "metadata")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/metadata")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the metadata service: %v\n%s", err, out)
	}
	return program
}

// userData is an environment for visitors of the machine itself: the metadata service has port 80 of its own address, so
// that the front cannot have it at all of them.
func (b *box) userData(domain string) {
	b.WriteFile("/etc/metadata/user-data", []byte("#cloud-config\nappliance:\n  domain: "+domain+`
  listen: {http: ["127.0.0.1:80"]}
  storage: {ignore: {data: true, volatile: true}}
  ssl: {letsencrypt: {enabled: false}}
`), 0o644)
}

func served(b *box) {
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
	b.fromCloud("cloud.example.org", "")
}

func servedByNobody(b *box) {
	b.Run("systemctl", "disable", "--now", "metadata")
	b.Reboot()
	b.awaitHealthy()
	b.fromCloud("cloud.example.org", "nobody answers")
	b.warned("nobody answers")
}

func servedBroken(b *box) {
	b.Run("touch", "/etc/metadata/broken")
	b.Run("systemctl", "enable", "--now", "metadata")
	b.PowerCut()
	b.PowerOn()
	b.awaitHealthy()
	b.fromCloud("cloud.example.org", "500 Internal Server Error")
	b.warned("500 Internal Server Error")
}

func servedAgain(b *box) {
	b.Run("rm", "/etc/metadata/broken")
	b.userData("moved.example.org")
	b.t.Log(strings.TrimSpace(b.Run("appliance", "reload")))
	b.fromCloud("moved.example.org", "")
}

// fromCloud expects that domain to be in force, and to be there from EC2's service, or kept from it because of what it
// answers now.
func (b *box) fromCloud(domain, instead string) {
	b.t.Helper()
	if said := b.Run("appliance", "env", "explain", "appliance.domain"); !strings.Contains(said, domain+" (ec2 ") {
		b.t.Errorf("the domain is not %s of EC2:\n%s", domain, said)
	}
	now := b.sources()
	if now.Found.Source != "ec2" || now.Cached != (instead != "") {
		b.t.Errorf("the environment comes from %+v, kept: %v", now.Found, now.Cached)
	}
	for _, source := range now.Sources {
		if source.Source == "ec2" && (source.Outcome != "found" || !strings.Contains(source.Detail, instead)) {
			b.t.Errorf("EC2's verdict is %+v, want in it %q", source, instead)
		}
	}
}

// warned expects the journal of this boot to say why the environment is an old one.
func (b *box) warned(because string) {
	b.t.Helper()
	said := b.Run("journalctl", "--boot", "--no-pager", "--unit", "appliance", "--priority", "warning", "--output", "cat")
	if !strings.Contains(said, "taking the environment that ran here last") || !strings.Contains(said, because) {
		b.t.Errorf("no warning because %s:\n%s", because, said)
	}
	b.t.Log(strings.TrimSpace(said))
}
