package acme

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// The environment of a process is read once: a second one asks.
func TestProxyOfTheEnvironment(t *testing.T) {
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.Host)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), askedByProxy+"=https://ca.invalid/dir", "HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if asked.Load() != "CONNECT ca.invalid:443" || !strings.Contains(string(out), "cannot learn when to renew the certificate: the authority does not answer at ca.invalid: Forbidden") {
		t.Errorf("the proxy was asked for %v; the client says %s", asked.Load(), out)
	}
}
