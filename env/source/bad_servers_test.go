package source

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
	"appliance/internal/testbed"
)

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func drips(w http.ResponseWriter, r *http.Request) {
	for {
		fmt.Fprint(w, "# and so on\n")
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func hangsUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func cutsOff(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(len(config)+100))
	fmt.Fprint(w, config)
}

func huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(100<<20))
	endless(w, nil)
}

func endless(w http.ResponseWriter, _ *http.Request) {
	block := []byte(strings.Repeat("# and so on\n", 1000))
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

var badServers = []struct {
	name     string
	document http.HandlerFunc
	says     string
	passing  bool
}{
	{"500", status(500), "500 Internal Server Error", true},
	{"503", status(503), "503 Service Unavailable", true},
	{"429", status(429), "429 Too Many Requests", true},
	{"400", status(400), "400 Bad Request", false},
	{"401", status(401), "401 Unauthorized", false},
	{"403", status(403), "403 Forbidden", false},
	{"HTML", text("<!DOCTYPE html>\n<title>Welcome</title>"), "HTML", false},
	{"a redirect elsewhere", http.RedirectHandler("http://elsewhere.invalid/", 302).ServeHTTP, "redirect to elsewhere.invalid", false},
	{"no end", drips, "no whole answer within", true},
	{"hangs up", hangsUp, "hung up", true},
	{"cut off", cutsOff, "cut off", true},
	{"100 MB", huge, "larger than", false},
	{"endless", endless, "larger than", false},
	{"truncated gzip", text(gzipped(config)[:30]), "gzip, but cut off", false},
	{"MIME without a config", text(multipartOf("text/plain", "hello")), "no part", false},
	{"a script", text("#!/bin/sh\nrm -rf /\n"), "script", false},
}

func TestABadServerIsBrokenForEverySource(t *testing.T) {
	for _, bad := range badServers {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			m := &Machine{Services: map[string]string{}}
			for _, c := range clouds {
				m.Services[c.source] = serve(t, c.serve(bad.document))
			}
			result, err := find(t, m)
			if err == nil || result.Found != nil {
				t.Fatalf("Find = %+v, %v", result, err)
			}
			for source, base := range m.Services {
				v := verdictOf(t, result, source)
				if v.Outcome != Broken || !strings.Contains(v.Detail, base) || !strings.Contains(v.Detail, bad.says) {
					t.Errorf("the verdict is %+v, want %q", v, bad.says)
				}
			}
			if !strings.HasPrefix(err.Error(), "cannot read the environment from ec2: "+m.Services["ec2"]) {
				t.Errorf("the error does not name its source: %v", err)
			}
			if remedy.Of(err) == "" || remedy.MayPass(err) != bad.passing {
				t.Errorf("the remedy of %q is %q, it may pass: %v", err, remedy.Of(err), remedy.MayPass(err))
			}
		})
	}
}

func TestABrokenSeedAddressNamesNoPassword(t *testing.T) {
	base := serve(t, status(500))
	sys := system.New(system.Config{Root: t.TempDir()})
	seed := strings.Replace(base, "http://", "http://me:hunter2@", 1) + "/?token=geheim&file="
	if err := sys.WriteFile("/proc/cmdline", []byte("ro ds=nocloud;s="+seed), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Find(t.Context(), Config{System: sys, Machine: &Machine{Arguments: []string{"/proc/cmdline"}}})
	if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "geheim") {
		t.Errorf("the error is %v", err)
	}
}

func TestSeveralBrokenSourcesAreOneError(t *testing.T) {
	result, err := find(t, everywhere(serve(t, status(502))))
	want := "(broken too: gce, openstack, digitalocean, hetzner, azure)"
	if err == nil || !strings.Contains(err.Error(), "from ec2: ") || !strings.Contains(err.Error(), want) || !remedy.MayPass(err) {
		t.Errorf("the error is %v", err)
	}
	if len(result.Sources) != 13 {
		t.Errorf("there are verdicts on %d sources", len(result.Sources))
	}
}

func TestALargeAnswerCostsLittleMemory(t *testing.T) {
	base := serve(t, serveTree("/hetzner/v1/userdata")(endless))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := find(t, &Machine{Services: map[string]string{"hetzner": base}}); err == nil {
		t.Error("an endless answer is taken")
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 16<<20 { // the limit is 1 MiB
		t.Errorf("it took %d bytes", spent)
	}
}

// refusing is an address where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// mute is an address that takes connections and never says a word.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

func TestSilenceCostsThreeSecondsAtMost(t *testing.T) {
	for _, test := range []struct {
		name    string
		base    func(*testing.T) string
		outcome Outcome
		within  time.Duration
	}{
		{"refused", refusing, Nothing, time.Second},
		{"no such name", func(*testing.T) string { return "http://metadata.invalid" }, Nothing, 3 * time.Second},
		{"dropped", func(t *testing.T) string { return "http://" + testbed.Deaf(t) }, Nothing, 2500 * time.Millisecond},
		{"connected, then silence", mute, Broken, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := everywhere(test.base(t))
			start := time.Now()
			result, err := find(t, m)
			took := time.Since(start)
			if took > test.within {
				t.Errorf("it took %v", took)
			}
			if (err != nil) != (test.outcome == Broken) || result.Found != nil {
				t.Errorf("Find = %+v, %v", result, err)
			}
			for source := range m.Services {
				if v := verdictOf(t, result, source); v.Outcome != test.outcome {
					t.Errorf("the verdict is %+v", v)
				}
			}
			t.Log(took, err)
		})
	}
}

func TestTheSlowAreNotWaitedFor(t *testing.T) {
	cached := &UserData{Source: "ec2", Data: []byte(config), Network: true}
	for _, test := range []struct {
		name   string
		ec2    string
		cached *UserData
	}{
		{"one before them has a document", serve(t, serveEC2(text(config))), nil},
		{"the document of one before them stands in", refusing(t), cached},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := everywhere(mute(t))
			m.Services["ec2"] = test.ec2
			start := time.Now()
			result, err := Find(t.Context(), Config{System: host(t, nil), Machine: m, Cached: test.cached})
			if err != nil || result.Found == nil || result.Found.Source != "ec2" {
				t.Fatalf("Find = %+v, %v", result, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %v", took)
			}
			if v := verdictOf(t, result, "azure"); v.Outcome != NotAsked {
				t.Errorf("the verdict on a slow one is %+v", v)
			}
		})
	}
}
