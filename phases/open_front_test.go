package phases

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"appliance/env"
	"appliance/internal/compose"
	"appliance/internal/front"
	"appliance/internal/front/worker"
	"appliance/internal/nginx"
)

// newVisited returns an appliance with a front that listens nowhere and has no worker.
func newVisited(t *testing.T, h *host) *Appliance {
	t.Helper()
	c := h.config(&manager{ready: make(chan struct{}, 100)})
	c.Front = worker.New(worker.Config{System: c.System, Log: slog.New(slog.DiscardHandler), Owner: -1})
	a, err := NewAppliance(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func document(t *testing.T, text string) *env.Document {
	t.Helper()
	doc, err := env.Parse("of the test", []byte("#cloud-config\nappliance:\n  domain: site.test\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func listens(address string) bool {
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
	}
	return err != nil
}

// A web server of the host cannot have ports that we go on holding.
func TestAddressesAreLeftToOthers(t *testing.T) {
	for _, mode := range []string{"external", "off"} {
		t.Run(mode, func(t *testing.T) {
			h := newTestHost(t)
			h.write("app/ecs/compose.yaml", "name: test\nservices: {web: {image: x, ports: [\"127.0.0.1:8080:80\"]}}\nx-appliance: {routes: [{service: web, port: 80}]}\n")
			a := newVisited(t, h)
			address := "127.0.0.1:" + strconv.Itoa(freePort(t))
			for _, c := range []struct {
				text string
				want bool
			}{{"  listen: {http: [], https: [\"" + address + "\"]}\n", true}, {"  front: \"" + mode + "\"\n", false}} {
				w := a.newWalk()
				w.active = document(t, c.text)
				why, err := w.frontDiffers(t.Context())
				if err != nil || why == "" {
					t.Fatalf("%s: %q, %v", c.text, why, err)
				}
				if c.want {
					err = a.cfg.Front.Listen(nil, []string{address}) // a worker would be waited for
				} else {
					err = w.openFront(t.Context())
				}
				if err != nil || listens(address) != c.want {
					t.Errorf("%s: %s is taken: %v, %v", c.text, address, listens(address), err)
				}
			}
			w := a.newWalk() // now with nothing to do but that
			w.active = document(t, "  front: \""+mode+"\"\n")
			if why, err := w.frontDiffers(t.Context()); why != "" || err != nil {
				t.Errorf("there is still work: %q, %v", why, err)
			}
			if err := a.cfg.Front.Listen(nil, []string{address}); err != nil {
				t.Fatal(err)
			}
			if why, err := w.frontDiffers(t.Context()); why == "" || err != nil {
				t.Errorf("%s is held, and there is nothing to do: %v", address, err)
			}
		})
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func routed(port compose.Port) *compose.Project {
	return &compose.Project{Extension: compose.Extension{Routes: []compose.Route{{Path: "/", Service: "web", Port: port}}}}
}

// What serves goes on serving where it is while its successor is fetched and built, and if that comes to nothing.
func TestVisitorsStayUntilTheNextProjectIsHealthy(t *testing.T) {
	a := newVisited(t, newTestHost(t))
	v, old, next := a.visitors, routed(80), routed(8080)
	set := env.Settings{Site: env.Site{Front: env.FrontBuiltin}}
	v.known(set, old)
	v.serve()
	v.lead(old, [][]string{{"192.0.2.1:80"}})
	v.known(set, next)
	if v.following() != old || len(v.state.Routes[0].Backends) != 1 {
		t.Error("visitors are led to what is not there yet")
	}
	v.arrived(next)
	if v.following() != next {
		t.Error("visitors are not led to what is healthy")
	}
	if err := v.rests(); err != nil {
		t.Fatal(err)
	}
	if v.known(set, old); v.following() != old {
		t.Error("nobody was served, and the project is not the one that is declared")
	}
}

func (v *visitors) backendsOf(path string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.state.Routes {
		if r.Path == path {
			return r.Backends
		}
	}
	return nil
}

// A port moves, 80 to 8080. What the container that has come has at port 80 may be anything, also where it was given the
// address of the one before.
func TestTheNextContainerIsNotAskedAtThePortOfBefore(t *testing.T) {
	container := func(id, address string) compose.ContainerInfo {
		return compose.ContainerInfo{ID: id, State: "running", Address: netip.MustParseAddr(address)}
	}
	set := env.Settings{Site: env.Site{Front: env.FrontBuiltin}}
	for _, c := range []struct {
		name       string
		next       compose.Port
		containers []compose.ContainerInfo
		meanwhile  []string // until the next project is healthy
		arrived    []string // and before anybody has looked
	}{
		{"replaced", 8080, []compose.ContainerInfo{container("new", "192.0.2.2")}, nil, nil},
		{"replaced at the same address", 8080, []compose.ContainerInfo{container("new", "192.0.2.1")}, nil, nil},
		{"not yet", 8080, []compose.ContainerInfo{container("old", "192.0.2.1")}, []string{"192.0.2.1:80"}, nil},
		{"one of two", 8080, []compose.ContainerInfo{container("old", "192.0.2.1"), container("new", "192.0.2.2")}, []string{"192.0.2.1:80"}, nil},
		{"restarted at another address", 8080, []compose.ContainerInfo{container("old", "192.0.2.3")}, []string{"192.0.2.3:80"}, nil},
		{"the port stays", 80, []compose.ContainerInfo{container("new", "192.0.2.2")}, []string{"192.0.2.2:80"}, []string{"192.0.2.2:80"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, old, next := newVisited(t, newTestHost(t)).visitors, routed(80), routed(c.next)
			v.known(set, old)
			v.serve()
			l := &lookout{v: v, project: old, doubts: map[string]int{}, told: time.Now(), services: []compose.Service{{Name: "web", Containers: []compose.ContainerInfo{container("old", "192.0.2.1")}}}}
			l.refresh(t.Context())
			if got := v.backendsOf("/"); len(got) != 1 {
				t.Fatalf("before: %v", got)
			}
			v.known(set, next)
			l.services = []compose.Service{{Name: "web", Containers: c.containers}}
			l.refresh(t.Context())
			if diff := cmp.Diff(c.meanwhile, v.backendsOf("/"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("meanwhile (-want +got):\n%s", diff)
			}
			v.arrived(next)
			if diff := cmp.Diff(c.arrived, v.backendsOf("/"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("arrived (-want +got):\n%s", diff)
			}
			now := &lookout{v: v, project: next, doubts: map[string]int{}, told: time.Now(), services: l.services}
			now.refresh(t.Context())
			want := next.Routes[0].Backends(l.services)
			if diff := cmp.Diff(want, v.backendsOf("/")); diff != "" {
				t.Errorf("after a look (-want +got):\n%s", diff)
			}
		})
	}
}

// A reload that moves a port may be taken back, or fail for good: the containers that were made until then are the project's.
func TestAMovedPortThatIsTakenBack(t *testing.T) {
	v, old := newVisited(t, newTestHost(t)).visitors, routed(80)
	set := env.Settings{Site: env.Site{Front: env.FrontBuiltin}}
	v.known(set, old)
	v.serve()
	v.known(set, routed(8080))
	v.known(set, routed(80))
	l := &lookout{v: v, project: old, doubts: map[string]int{}, told: time.Now(), services: []compose.Service{
		{Name: "web", Containers: []compose.ContainerInfo{{ID: "new", State: "running", Address: netip.MustParseAddr("192.0.2.2")}}}}}
	l.refresh(t.Context())
	if diff := cmp.Diff([]string{"192.0.2.2:80"}, v.backendsOf("/")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The process is replaced in place while the engine is away, as when it is upgraded with live-restore: the containers serve
// on, and nobody can say where.
func TestASuccessorKnowsWhereTheApplicationIs(t *testing.T) {
	h := newTestHost(t)
	h.write("run/active-env.yml", "#cloud-config\nappliance:\n  domain: site.test\n  listen: {http: [], https: []}\n")
	h.write("app/ecs/compose.yaml", "name: test\nservices: {web: {image: x}}\nx-appliance: {routes: [{service: web, port: 80}]}\n")
	before := newVisited(t, h)
	before.visitors.begin(t.Context())
	if err := before.visitors.proved(); err != nil {
		t.Fatal(err)
	}
	before.visitors.lead(before.visitors.following(), [][]string{{"192.0.2.1:80"}})
	before.visitors.handOn()
	after := newVisited(t, h)
	after.visitors.begin(t.Context())
	after.visitors.tell(t.Context())
	if got := after.visitors.backendsOf("/"); !after.visitors.state.Open || len(got) != 1 || got[0] != "192.0.2.1:80" {
		t.Errorf("open: %v, backends: %v", after.visitors.state.Open, got)
	}
	if third := newVisitors(after); !third.serving || len(third.state.Routes) > 0 { // after a kill
		t.Errorf("what was handed on once counts for ever: %v", third.state.Routes)
	}
	before.Leave(t.Context())
	before.visitors.handOn()
	if newVisitors(before).serving {
		t.Error("a stop brings the mark back")
	}
}

// A container that hangs is waited for. Visitors of another, which was replaced, do not wait with it.
func TestOneThatHangsDelaysNoOther(t *testing.T) {
	hang, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, and nothing more
	if err != nil {
		t.Fatal(err)
	}
	defer hang.Close()
	at := netip.MustParseAddrPort(hang.Addr().String())
	v := newVisited(t, newTestHost(t)).visitors
	project := &compose.Project{Extension: compose.Extension{Routes: []compose.Route{
		{Path: "/reports", Service: "reports", Port: compose.Port(at.Port()), Health: "/h"},
		{Path: "/", Service: "web", Port: 80},
	}}}
	v.known(env.Settings{Site: env.Site{Front: env.FrontBuiltin}}, project)
	v.lead(project, [][]string{{at.String()}, {"192.0.2.1:80"}})
	l := &lookout{v: v, project: project, doubts: map[string]int{}, told: time.Now(), services: []compose.Service{
		{Name: "reports", Containers: []compose.ContainerInfo{{State: "running", Address: at.Addr()}}},
		{Name: "web", Containers: []compose.ContainerInfo{{State: "running", Address: netip.MustParseAddr("192.0.2.2")}}},
	}}
	ctx, stop := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() { l.refresh(ctx); close(looked) }()
	for {
		if got := v.backendsOf("/"); len(got) == 1 && got[0] == "192.0.2.2:80" {
			break
		}
		select {
		case <-looked:
			t.Fatal("the other was found only after the one that hangs")
		case <-time.After(time.Millisecond):
		}
	}
	if got := v.backendsOf("/reports"); len(got) != 1 {
		t.Errorf("the one that hangs is doubted too soon: %v", got)
	}
	stop()
	<-looked
}

// The project is read twice in a walk: by the step of the front, and before images are fetched.
func TestDoorsOpenToTheProjectThatWasBroughtUp(t *testing.T) {
	h := newTestHost(t)
	h.write("app/ecs/compose.yaml", "name: test\nservices: {web: {image: x}}\nx-appliance: {routes: [{service: web, port: 80}]}\n")
	a := newVisited(t, h)
	w := a.newWalk()
	w.active = document(t, "  listen: {http: [], https: []}\n")
	if _, err := w.frontDiffers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.readProject(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.openDoors(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.visitors.following() != w.project {
		t.Error("visitors are led by another reading of the project")
	}
}

// Two routes of one container: that one of them answers says nothing of the other.
func TestRoutesOfOneContainerAreJudgedEachForItself(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/well" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer app.Close()
	at := netip.MustParseAddrPort(app.Listener.Addr().String())
	a := newVisited(t, newTestHost(t))
	project := &compose.Project{Extension: compose.Extension{Routes: []compose.Route{
		{Path: "/", Service: "web", Port: compose.Port(at.Port()), Health: "/well"},
		{Path: "/api", Service: "web", Port: compose.Port(at.Port()), Health: "/ill"},
	}}}
	a.visitors.known(env.Settings{Site: env.Site{Front: env.FrontBuiltin}}, project)
	a.visitors.lead(project, [][]string{{at.String()}, {at.String()}})
	l := &lookout{v: a.visitors, project: project, doubts: map[string]int{}, told: time.Now(),
		services: []compose.Service{{Name: "web", Containers: []compose.ContainerInfo{{State: "running", Address: at.Addr()}}}}}
	for range probesFailed {
		l.refresh(t.Context())
	}
	var got [][]string
	for _, r := range a.visitors.state.Routes {
		got = append(got, r.Backends)
	}
	if diff := cmp.Diff([][]string{{at.String()}, nil}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The first state that a worker is told must ask for certificates already: a supervisor is replaced while visitors come.
func TestNobodyIsLetInUnasked(t *testing.T) {
	h := newTestHost(t)
	h.write("run/active-env.yml", "#cloud-config\nappliance:\n  domain: site.test\n  ssl: {client_certs: required}\n")
	a := newVisited(t, h)
	a.visitors.begin(t.Context())
	if c := a.visitors.state.Clients; c.Mode != front.ClientsRequired || len(c.CAs) == 0 {
		t.Errorf("%+v", c)
	}
	optional := env.Settings{Site: env.Site{Clients: front.ClientsOptional}}
	a.visitors.known(optional, nil)
	a.visitors.loadClients(nil)
	required := env.Settings{Site: env.Site{Clients: front.ClientsRequired}}
	if a.visitors.known(required, nil); a.visitors.state.Clients.Mode != front.ClientsRequired {
		t.Errorf("after a reload: %+v", a.visitors.state.Clients)
	}
}

func TestAStopForgetsThatTheApplicationHasProvedItself(t *testing.T) {
	a := newVisited(t, newTestHost(t))
	if err := a.visitors.proved(); err != nil {
		t.Fatal(err)
	}
	if !newVisitors(a).serving {
		t.Error("a process in our place would show the page")
	}
	a.Leave(t.Context())
	if newVisitors(a).serving {
		t.Error("the next start opens before anything is healthy")
	}
}

func TestAPageForANginxOfBeforeGoes(t *testing.T) {
	h := newTestHost(t)
	a := newVisited(t, h)
	page := a.cfg.System.Path(nginx.PageFile)
	for mode, stays := range map[string]bool{env.FrontExternal: true, env.FrontOff: false} {
		a.visitors.known(env.Settings{Domain: "site.test", Site: env.Site{Front: env.FrontExternal, FrontSet: true}}, nil)
		a.visitors.tell(t.Context())
		a.visitors.known(env.Settings{Domain: "site.test", Site: env.Site{Front: mode, FrontSet: true}}, nil)
		a.visitors.tell(t.Context())
		if _, err := os.Stat(page); errors.Is(err, os.ErrNotExist) == stays {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// A host in standby does not come to the step of the front; what its page says and where is of the environment all the same.
func TestStandbyIsShownByItsOwnEnvironment(t *testing.T) {
	h := newTestHost(t)
	h.write("app/env.yml", "#cloud-config\nappliance:\n  domain: site.test\n  standby: true\n  front: external\n")
	a := newVisited(t, h)
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	if err := a.cfg.Front.Listen(nil, []string{address}); err != nil {
		t.Fatal(err)
	}
	if event, err := a.prepareEnv(t.Context()); event != Hold || err != nil {
		t.Fatalf("%v, %v", event, err)
	}
	if f := a.visitors.describe(); f == nil || f.Mode != env.FrontExternal || a.visitors.domain != "site.test" {
		t.Errorf("%+v of %q", f, a.visitors.domain)
	}
	if listens(address) {
		t.Error("the ports are not left to the web server")
	}
}

// A boot finds nothing in /run. Its environment may come from the network, or have layers; its ports may be those of a web
// server that is started beside us.
func TestABootReceivesVisitorsWhereTheLastOneDid(t *testing.T) {
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	builtin := "  page: {vendor: Example Ltd.}\n  listen: {http: [], https: [\"" + address + "\"]}\n"
	for _, c := range []struct {
		name, before string
		mode         string
		listens      bool
	}{
		{"the first one of all", "", "", false},
		{"ours", builtin, env.FrontBuiltin, true},
		{"a web server of the host", builtin + "  front: external\n", env.FrontExternal, false},
		{"nobody", builtin + "  front: \"off\"\n", env.FrontOff, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTestHost(t)
			if c.before != "" {
				last := newVisited(t, h)
				last.visitors.declared(t.Context(), document(t, c.before).Settings(), nil)
				last.cfg.Front.Close(t.Context())
			}
			a := newVisited(t, h)
			a.visitors.begin(t.Context())
			if a.visitors.mode != c.mode || listens(address) != c.listens {
				t.Errorf("the mode is %q, %s is taken: %v", a.visitors.mode, address, listens(address))
			}
			if n := a.visitors.notice(a.Status()); c.before != "" && (n.Vendor != "Example Ltd." || n.Site != "site.test") {
				t.Errorf("%+v", n)
			}
			a.cfg.Front.Close(t.Context())
		})
	}
}

// fronted walks up to the step of the front with this environment and application.
func fronted(t *testing.T, h *host, a *Appliance, front, ports string) error {
	t.Helper()
	h.write("app/ecs/compose.yaml", "name: test\nservices: {web: {image: x, ports: ["+ports+"]}}\nx-appliance: {routes: [{service: web, port: 80}]}\n")
	w := a.newWalk()
	w.active = document(t, "  front: "+front+"\n  listen: {http: [], https: []}\n")
	why, err := w.frontDiffers(t.Context())
	if err != nil || why == "" {
		return err
	}
	return w.openFront(t.Context())
}

// What a reload declares may take an hour to build, or never be healthy.
func TestNginxIsLedToWhatServesUntilTheNextProjectDoes(t *testing.T) {
	h := newTestHost(t)
	a := newVisited(t, h)
	leads := func(to string) bool {
		identity, err := os.ReadFile(a.cfg.System.Path(nginx.IdentityFile))
		return err == nil && strings.Contains(string(identity), "proxy_pass http://"+to+";")
	}
	if err := fronted(t, h, a, "external", `"127.0.0.1:8080:80"`); err != nil || !leads("127.0.0.1:8080") {
		t.Fatalf("at a first start: %v", err)
	}
	if err := a.visitors.proved(); err != nil {
		t.Fatal(err)
	}
	for _, ports := range []string{`"127.0.0.1:9090:80"`, ""} {
		if err := fronted(t, h, a, "external", ports); err != nil || !leads("127.0.0.1:8080") {
			t.Errorf("with the ports %q declared, nginx is led away from who serves: %v", ports, err)
		}
	}
	if err := fronted(t, h, a, "external", `"127.0.0.1:9090:80"`); err != nil {
		t.Fatal(err)
	}
	w := a.newWalk()
	w.active = document(t, "  front: external\n")
	if _, err := w.readProject(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.visitors.arrived(w.project)
	a.visitors.tell(t.Context())
	if !leads("127.0.0.1:9090") {
		t.Error("nginx is not led to what is healthy")
	}
}

// The builtin front needs no published ports: nginx cannot be led to a project that has none.
func TestAReloadMayHandVisitorsToNginx(t *testing.T) {
	h := newTestHost(t)
	a := newVisited(t, h)
	if err := fronted(t, h, a, "builtin", ""); err != nil {
		t.Fatal(err)
	}
	if err := a.visitors.proved(); err != nil {
		t.Fatal(err)
	}
	if err := fronted(t, h, a, "external", `"127.0.0.1:9090:80"`); err != nil {
		t.Error(err)
	}
}

// Without our page visitors get nginx's own "502 Bad Gateway" from ports that nobody listens on.
func TestNginxShowsThePageWhileNobodyAnswers(t *testing.T) {
	template := &compose.Project{} // without routes an operator's template leads visitors
	for _, c := range []struct {
		name     string
		project  *compose.Project
		backends [][]string
		trouble  string
		page     bool
	}{
		{"healthy", routed(80), [][]string{{"192.0.2.1:80"}}, "", false},
		{"a container answers, another service is ill", routed(80), [][]string{{"192.0.2.1:80"}}, "worker: unhealthy", false},
		{"no container answers", routed(80), [][]string{nil}, "web: exited", true},
		{"a template, healthy", template, nil, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTestHost(t)
			a := newVisited(t, h)
			set := env.Settings{Domain: "site.test", Site: env.Site{Front: env.FrontExternal, FrontSet: true, Names: []string{"site.test"}}}
			a.visitors.known(set, c.project)
			if err := a.visitors.proved(); err != nil {
				t.Fatal(err)
			}
			a.visitors.lead(c.project, c.backends)
			a.setTrouble(c.trouble)
			a.visitors.tell(t.Context())
			if page := a.cfg.System.Exists(nginx.PageFile); page != c.page {
				t.Errorf("the page is there: %v", page)
			}
		})
	}
}

// Its last words were those of a stop: whoever the environment of the next start has for a front, nginx is not to repeat them.
func TestAPageForANginxOfBeforeABootGoes(t *testing.T) {
	h := newTestHost(t)
	a := newVisited(t, h)
	external := env.Settings{Domain: "site.test", Site: env.Site{Front: env.FrontExternal, FrontSet: true, Names: []string{"site.test"}}}
	a.visitors.known(external, nil)
	h.write(nginx.IdentityFile, "")
	if a.Leave(t.Context()); !a.cfg.System.Exists(nginx.PageFile) {
		t.Fatal("a stop shows no page")
	}
	b := newVisited(t, h)
	b.visitors.known(env.Settings{Domain: "site.test", Site: env.Site{Front: env.FrontOff, FrontSet: true}}, nil)
	if b.visitors.tell(t.Context()); b.cfg.System.Exists(nginx.PageFile) {
		t.Error("the page of the stop stays for ever")
	}
}
