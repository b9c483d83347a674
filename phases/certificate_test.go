package phases

import (
	"fmt"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/internal/api"
)

// reloading is an engine in which the services a and b of the project p run. It is asked to restart them.
type reloading struct {
	mu       sync.Mutex
	stubborn string // the service that does not restart
	asked    []string
	more     chan struct{}
}

// newReloading returns an appliance on such an engine, not healthy yet, with a certificate in place.
func newReloading(t *testing.T) (*Appliance, *reloading) {
	t.Helper()
	h, e := newTestHost(t), &reloading{more: make(chan struct{}, 100)}
	l, err := net.Listen("unix", filepath.Join(h.root, "no-engine.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	h.write("run/active-env.yml", "#cloud-config\nappliance:\n  domain: site.test\n")
	h.write("app/ecs/compose.yaml", "name: p\nservices: {a: {image: x}, b: {image: x}}\nx-appliance: {reload_on_cert: [a, b]}\n")
	a := newVisited(t, h)
	t.Cleanup(func() { a.end(nil) })
	certify(t, a)
	return a, e
}

func (e *reloading) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.47")
	w.Header().Set("Content-Type", "application/json")
	labels := func(service string) string {
		return fmt.Sprintf(`{"com.docker.compose.project":"p","com.docker.compose.service":%q,"com.docker.compose.oneoff":"False","com.docker.compose.container-number":"1"}`, service)
	}
	container := path.Base(path.Dir(r.URL.Path))
	switch {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
	case strings.HasSuffix(r.URL.Path, "/containers/json"):
		var all []string
		for _, service := range []string{"a", "b"} {
			all = append(all, fmt.Sprintf(`{"Id":%q,"Names":["/p-%s-1"],"State":"running","Image":"x","Labels":%s}`, strings.Repeat(service, 64), service, labels(service)))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(all, ","))
	case strings.HasSuffix(r.URL.Path, "/json"):
		fmt.Fprintf(w, `{"Id":%q,"Name":"/p-%s-1","State":{"Status":"running","Running":true},"Config":{"Labels":%s},"NetworkSettings":{"Networks":{}},"HostConfig":{}}`,
			container, container[:1], labels(container[:1]))
	case strings.HasSuffix(r.URL.Path, "/restart"):
		e.mu.Lock()
		defer e.mu.Unlock()
		e.asked = append(e.asked, container[:1])
		e.more <- struct{}{}
		if e.stubborn == container[:1] {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"message":"it does not want to"}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

// restarts waits for n of them, and answers which services they were of.
func (e *reloading) restarts(t *testing.T, n int) string {
	t.Helper()
	for range n {
		select {
		case <-e.more:
		case <-time.After(30 * time.Second):
			t.Errorf("not %d services are told", n)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	asked := strings.Join(e.asked, "")
	e.asked = nil
	return asked
}

func (e *reloading) refuses(service string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stubborn = service
}

// certify puts a certificate in place that is another one for each list of names.
func certify(t *testing.T, a *Appliance, names ...string) (sha256 string) {
	t.Helper()
	w := a.newWalk()
	w.active = document(t, "  ssl: {acme: {names: ["+strings.Join(names, ", ")+"]}}\n")
	if err := w.ensureCertificate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a.certificates.Status().SHA256
}

// toldOf is the certificate that services were told of last, "" if they never were.
func toldOf(t *testing.T, a *Appliance) (sha256 string) {
	t.Helper()
	if _, err := a.recall(toldSubject, &sha256); err != nil {
		t.Fatal(err)
	}
	return sha256
}

// awaitTold waits until it is on record that services know the certificate.
func awaitTold(t *testing.T, a *Appliance, sha256 string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); toldOf(t, a) != sha256; time.Sleep(time.Millisecond) { // a poll with a deadline
		if time.Now().After(end) {
			t.Fatalf("on record is %.8s, not %.8s", toldOf(t, a), sha256)
		}
	}
}

// At a first start services read the certificate that is there. The authority's may come while they do.
func TestServicesOfAFirstStart(t *testing.T) {
	for _, meanwhile := range []bool{false, true} {
		a, e := newReloading(t)
		w := a.newWalk()
		var err error
		if w.project, err = w.loadProject(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.startWithCertificate(t.Context()); err != nil { // before they are made
			t.Fatal(err)
		}
		want := ""
		now := a.certificates.Status().SHA256
		if meanwhile {
			now, want = certify(t, a, "www.site.test"), "ab"
		}
		if why, err := w.servicesUntold(t.Context()); (why != "") != meanwhile || err != nil {
			t.Errorf("another one meanwhile: %v: there is work: %q, %v", meanwhile, why, err)
		}
		if err := w.tellServices(t.Context()); err != nil {
			t.Error(err)
		}
		if got := e.restarts(t, len(want)); got != want || toldOf(t, a) != now {
			t.Errorf("another one meanwhile: %v: %q are told of %.8s, not %.8s", meanwhile, got, toldOf(t, a), now)
		}
	}
}

// Who is out of health is told once it is well, and each is told once.
func TestServicesThatAreOutOfHealthMeanwhile(t *testing.T) {
	a, e := newReloading(t)
	a.setTrouble("")
	a.tellServices()
	if got := e.restarts(t, 2); got != "ab" {
		t.Fatalf("%q are told", got)
	}
	awaitTold(t, a, a.certificates.Status().SHA256)
	a.setTrouble("b is starting")
	now := certify(t, a, "www.site.test")
	a.tellServices()
	if got := e.restarts(t, 0); got != "" || toldOf(t, a) == now {
		t.Errorf("%q are told, though they are not well", got)
	}
	a.inHealth(time.Second)
	a.tellServices() // as the watch does
	if got := e.restarts(t, 2); got != "ab" {
		t.Errorf("%q are told", got)
	}
	awaitTold(t, a, now)
	a.tellServices()
	if got := e.restarts(t, 0); got != "" {
		t.Errorf("%q are told again", got)
	}
}

// One that cannot be told keeps nobody else from it, and is told when the watch looks again.
func TestTheFirstServiceDoesNotReload(t *testing.T) {
	a, e := newReloading(t)
	a.setTrouble("")
	a.tellServices()
	e.restarts(t, 2)
	awaitTold(t, a, a.certificates.Status().SHA256)
	before := toldOf(t, a)
	e.refuses("a")
	now := certify(t, a, "www.site.test")
	if got := e.restarts(t, 2); got != "ab" || toldOf(t, a) != before {
		t.Errorf("%q are asked, and on record is %.8s", got, toldOf(t, a))
	}
	want := "services go on with the old certificate: cannot reload container p-a-1 (restart): Error response from daemon: it does not want to"
	(&process{Appliance: a, t: t}).reaches("a warning", func(event api.Event) bool { return event.Kind == "warning" && event.Text == want })
	e.refuses("")
	a.tellServices()
	if got := e.restarts(t, 2); got != "ab" {
		t.Errorf("the second time %q are asked", got)
	}
	awaitTold(t, a, now)
}

// Port 80 is taken, the front never opens: neither of both may wait for that.
func TestAnswersThatNobodyShowsAreNotWaitedFor(t *testing.T) {
	a := newVisited(t, newTestHost(t))
	t.Cleanup(func() { a.end(nil) })
	gone := make(chan struct{})
	go func() { defer close(gone); a.visitors.HideHTTP("token"); a.visitors.HideALPN("site.test") }()
	select {
	case <-gone:
	case <-time.After(hideLimit):
		t.Error("whoever asks an authority is held up")
	}
}
