package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProxiedPorts(t *testing.T) {
	proc := t.TempDir()
	for pid, argv := range map[string][]string{
		"1":    {"/sbin/init"},
		"7":    {""}, // a kernel thread
		"279":  {"/usr/sbin/docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", "8080", "-container-ip", "172.19.0.2", "-container-port", "80"},
		"280":  {"/usr/bin/docker-proxy", "-proto", "udp", "-host-ip", "::", "-host-port", "69", "-container-port", "69"},
		"281":  {"/usr/bin/nginx", "-host-port", "443", "-proto", "tcp"},
		"self": {"/usr/sbin/docker-proxy", "-proto", "tcp", "-host-port", "1"},
	} {
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "cmdline"), []byte(strings.Join(argv, "\x00")+"\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]bool{"8080/tcp": true, "69/udp": true}, proxiedPorts(proc)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
