package source

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

const config = "#cloud-config\nappliance:\n  domain: ecs.example.org\n"

// proxied counts what went to the proxy that every variable names.
var proxied atomic.Int32

func TestMain(m *testing.M) {
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		os.Setenv(name, trap.URL)
	}
	code := m.Run()
	trap.Close()
	os.Exit(code)
}

// cloud is the metadata service of one provider, as far as it is asked. Its answers to requests that are meant for
// another are those of the real one.
type cloud struct {
	name   string
	source string // that finds its document
	serve  func(document http.HandlerFunc) http.HandlerFunc
}

var clouds = []cloud{
	{"EC2", "ec2", serveEC2},
	{"Google", "gce", serveGoogle},
	{"OpenStack", "openstack", serveTree("/openstack/latest/user_data")},
	{"OpenStack with the tree of EC2", "ec2", serveTree("/openstack/latest/user_data", "/latest/user-data")},
	{"DigitalOcean", "digitalocean", serveTree("/metadata/v1/user-data")},
	{"Hetzner", "hetzner", serveTree("/hetzner/v1/userdata")},
	{"Azure", "azure", serveAzure("IMDS/150.870.65.1854")},
	{"older Azure", "azure", serveAzure("Microsoft-IIS/10.0")},
}

func serveEC2(document http.HandlerFunc) http.HandlerFunc {
	const token = "AQAEAB-4bXk=="
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "EC2ws")
		switch {
		case r.Method == http.MethodPut && r.URL.Path != "/latest/api/token":
			w.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodPut && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "":
			w.WriteHeader(http.StatusBadRequest)
		case r.Method == http.MethodPut:
			fmt.Fprint(w, token)
		case r.Header.Get("X-aws-ec2-metadata-token") != token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/user-data":
			document(w, r)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func serveGoogle(document http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		w.Header().Set("Server", "Metadata Server for VM")
		switch {
		case r.Method != http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
			fmt.Fprint(w, "<!DOCTYPE html>")
		case !strings.HasPrefix(r.URL.Path, "/computeMetadata/"):
			w.WriteHeader(http.StatusNotFound)
		case r.Header.Get("Metadata-Flavor") != "Google":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/computeMetadata/v1/instance/attributes/user-data":
			document(w, r)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// serveTree is a service without any handshake.
func serveTree(paths ...string) func(http.HandlerFunc) http.HandlerFunc {
	return func(document http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || !slices.Contains(paths, r.URL.Path) {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			document(w, r)
		}
	}
}

func serveAzure(server string) func(http.HandlerFunc) http.HandlerFunc {
	return func(document http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Server", server)
			query := r.URL.Query()
			switch {
			case r.Header.Get("Metadata") != "true":
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{ "error": "Bad request. Required metadata header not specified" }`)
			case r.URL.Path != "/metadata/instance/compute/userData":
				w.WriteHeader(http.StatusNotFound)
			case query.Get("api-version") != "2021-01-01" || query.Get("format") != "text":
				w.WriteHeader(http.StatusBadRequest)
			default:
				document(w, r)
			}
		}
	}
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// everywhere is a machine on which all services have one address.
func everywhere(base string) *Machine {
	services := map[string]string{}
	for name := range thisMachine(nil).Services {
		services[name] = base
	}
	return &Machine{Services: services}
}

// find searches on an empty host.
func find(t *testing.T, m *Machine) (Result, error) {
	t.Helper()
	return Find(t.Context(), Config{System: system.New(system.Config{Root: t.TempDir()}), Machine: m, Limit: 1 << 20})
}

func verdictOf(t *testing.T, r Result, source string) Verdict {
	t.Helper()
	for i := len(r.Sources) - 1; i >= 0; i-- { // backwards: the address of a seed comes after its files
		if r.Sources[i].Source == source {
			return r.Sources[i]
		}
	}
	t.Fatalf("there is no verdict on %s", source)
	return Verdict{}
}

func TestEveryCloudIsToldFromTheOthers(t *testing.T) {
	for _, c := range clouds {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			document := config
			if c.source == "azure" {
				document = base64.StdEncoding.EncodeToString([]byte(config))
			}
			base := serve(t, c.serve(text(document)))
			result, err := find(t, everywhere(base))
			if err != nil || result.Found == nil {
				t.Fatalf("Find = %+v, %v", result, err)
			}
			got := result.Found
			if got.Source != c.source || string(got.Data) != config || !got.Network || got.Path != "" || !strings.HasPrefix(got.Origin, c.source+" "+base+"/") {
				t.Errorf("found %+v: %s", got, got.Data)
			}
		})
	}
}

func TestACloudWithoutUserDataHasNothing(t *testing.T) {
	for name, document := range map[string]http.HandlerFunc{
		"not found":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"empty":      text(""),
		"blank":      text(" \r\n\n"),
	} {
		for _, c := range clouds {
			t.Run(c.name+", "+name, func(t *testing.T) {
				t.Parallel()
				result, err := find(t, everywhere(serve(t, c.serve(document))))
				if err != nil || result.Found != nil {
					t.Fatalf("Find = %+v, %v", result, err)
				}
				for _, v := range result.Sources[7:] {
					if v.Outcome != Nothing || v.Detail == "" {
						t.Errorf("the verdict is %+v", v)
					}
				}
			})
		}
	}
}

func TestTokensOfEC2(t *testing.T) {
	plain := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, token := r.Header["X-Aws-Ec2-Metadata-Token"]
			switch {
			case r.Method == http.MethodPut:
				w.WriteHeader(status)
				fmt.Fprint(w, "<html>")
			case token:
				w.WriteHeader(http.StatusTeapot)
			default:
				fmt.Fprint(w, config)
			}
		}
	}
	for _, test := range []struct {
		name    string
		serve   http.HandlerFunc
		outcome Outcome
		detail  string
	}{
		{"a service that knows them", serveEC2(text(config)), Found, "/latest/user-data"},
		{"none there", plain(404), Found, "/latest/user-data"},
		{"a web server without PUT", plain(405), Found, "/latest/user-data"},
		{"another web server without PUT", plain(501), Found, "/latest/user-data"},
		{"refused as bad", plain(400), Broken, "400"},
		{"refused as unauthorized", plain(401), Broken, "401"},
		{"the service is switched off", plain(403), Broken, "403"},
		{"out of order", plain(500), Broken, "500"},
		{"HTML instead of one", plain(200), Broken, "is no token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			result, err := find(t, &Machine{Services: map[string]string{"ec2": serve(t, test.serve)}})
			if v := verdictOf(t, result, "ec2"); v.Outcome != test.outcome || (err != nil) != (test.outcome == Broken) || !strings.Contains(v.Detail, test.detail) {
				t.Errorf("the verdict is %+v, the error %v", v, err)
			}
		})
	}
}

func TestANameThatLeadsElsewhereIsNotGoogle(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a page":     text("<html>did you mean</html>"),
		"a document": text(config),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://search.invalid/", http.StatusFound)
		},
		"a refusal": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
	} {
		t.Run(name, func(t *testing.T) {
			result, err := find(t, &Machine{Services: map[string]string{"gce": serve(t, answer)}})
			if v := verdictOf(t, result, "gce"); err != nil || v.Outcome != Nothing || !strings.Contains(v.Detail, "Google") {
				t.Errorf("the verdict is %+v, the error %v", v, err)
			}
		})
	}
}

func TestNoProxyIsAsked(t *testing.T) {
	result, err := find(t, everywhere("http://metadata.invalid")) // for a loopback address no proxy would be used anyway
	if err != nil || result.Found != nil {
		t.Errorf("Find = %+v, %v", result, err)
	}
	if n := proxied.Load(); n > 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
}

func TestRedirects(t *testing.T) {
	var strayed atomic.Int32
	elsewhere := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		strayed.Add(1)
		fmt.Fprint(w, config)
	})
	for _, test := range []struct {
		name, to string
		outcome  Outcome
	}{
		{"to the same server", "/user-data", Found},
		{"to the same server, twice", "/again", Broken},
		{"to another server", elsewhere, Broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/user-data":
					fmt.Fprint(w, config)
				case "/again":
					http.Redirect(w, r, "/user-data", http.StatusFound)
				default:
					http.Redirect(w, r, test.to, http.StatusFound)
				}
			})
			result, err := find(t, &Machine{Services: map[string]string{"hetzner": base}})
			if v := verdictOf(t, result, "hetzner"); v.Outcome != test.outcome || (err == nil) != (test.outcome == Found) {
				t.Errorf("the verdict is %+v, the error %v", v, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "redirect") || remedy.Of(err) == "") {
				t.Errorf("the error is %v, the remedy %q", err, remedy.Of(err))
			}
		})
	}
	if strayed.Load() > 0 {
		t.Error("a redirect to another server was followed")
	}
}

func TestTheCallerMayStop(t *testing.T) {
	gone := errors.New("stopped by the test")
	for _, test := range []struct {
		name string
		stop func(t *testing.T, stop func()) *Machine // when
	}{
		{"before", func(t *testing.T, stop func()) *Machine {
			stop()
			return everywhere(refusing(t))
		}},
		{"meanwhile", func(t *testing.T, stop func()) *Machine {
			return everywhere(serve(t, func(_ http.ResponseWriter, r *http.Request) {
				stop()
				<-r.Context().Done()
			}))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			m := test.stop(t, func() { cancel(gone) })
			result, err := Find(ctx, Config{System: system.New(system.Config{Root: t.TempDir()}), Machine: m})
			if !errors.Is(err, gone) || result.Found != nil {
				t.Errorf("Find = %+v, %v", result, err)
			}
		})
	}
}
