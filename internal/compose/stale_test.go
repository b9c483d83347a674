package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// process is one directory of a proc tree.
type process struct {
	name, parent, net string
	argv              []string
}

func (p process) write(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("net:["+p.net+"]", filepath.Join(dir, "ns", "net")); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"cmdline": strings.Join(p.argv, "\x00") + "\x00",
		"comm":    p.name + "\n",
		"status":  "Name:\t" + p.name + "\nUmask:\t0022\nPPid:\t" + p.parent + "\nTracerPid:\t0\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProxiedPorts(t *testing.T) {
	t.Parallel()
	proxy := func(proto, port string) []string {
		return []string{"/usr/sbin/docker-proxy", "-proto", proto, "-host-ip", "::", "-host-port", port, "-container-ip", "172.19.0.2", "-container-port", "80"}
	}
	proc := t.TempDir()
	for pid, p := range map[string]process{
		"self": {"appliance", "1", "10", proxy("tcp", "1")},
		"1":    {"systemd", "0", "10", []string{"/sbin/init"}},
		"7":    {"kthreadd", "0", "10", []string{""}},
		"200":  {"dockerd", "1", "10", []string{"/usr/sbin/dockerd"}},
		"279":  {"docker-proxy", "200", "10", proxy("tcp", "8080")},
		"280":  {"docker-proxy", "200", "10", proxy("udp", "69")},
		"281":  {"nginx", "200", "10", []string{"/usr/bin/nginx", "-host-port", "443", "-proto", "tcp"}},
		"282":  {"docker-proxy", "1", "10", proxy("tcp", "81")},    // left behind by an engine that died, or somebody else's
		"283":  {"docker-proxy", "200", "11", proxy("tcp", "82")},  // of an engine with a network of its own
		"284":  {"docker-proxy", "9999", "10", proxy("tcp", "83")}, // its parent has just ended
	} {
		p.write(t, filepath.Join(proc, pid))
	}
	if diff := cmp.Diff(map[string]bool{"8080/tcp": true, "69/udp": true}, proxiedPorts(proc)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
