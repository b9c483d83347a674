package source

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// host is a directory with files that stands for a host.
func host(t *testing.T, files map[string]string) *system.System {
	t.Helper()
	sys := system.New(system.Config{Root: t.TempDir()})
	for path, content := range files {
		if err := sys.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func named(name string) string { return config + "# " + name + "\n" }

// A host with a document in every place; each case takes one away from what the case before had.
func TestTheFirstInOrderWins(t *testing.T) {
	type files = map[string]string
	cmdline := "BOOT_IMAGE=/vmlinuz ro ds=nocloud;s=/srv/seed/ quiet"
	drives := map[string]string{"cidata": image(t, "cidata", files{"user-data": named("cidata")}), "config-2": image(t, "config-2", files{"openstack/latest/user_data": named("config-2")})}
	all := files{
		"/etc/mine.yml": named("mine"), EnvPath: named("app"),
		"/var/lib/cloud/seed/nocloud/user-data": named("seed"), "/var/lib/cloud/seed/nocloud-net/user-data": named("seed net"),
		"/srv/seed/user-data": named("argument"), "/serial": "ds=nocloud-net;s=file:///srv/serial", "/srv/serial/user-data": named("serial"), "/cmdline": cmdline,
	}
	ec2 := serve(t, serveEC2(text(named("ec2"))))
	azure := serve(t, serveAzure("IMDS/1")(text(based64(named("azure")))))
	services := map[string]string{"ec2": ec2, "azure": azure}
	for _, step := range []struct {
		takeAway string // before
		want     UserData
	}{
		{"", UserData{Source: "file", Origin: "/etc/mine.yml", Data: []byte(named("mine")), Path: "/etc/mine.yml"}},
		{"/etc/mine.yml", UserData{Source: "file", Origin: EnvPath, Data: []byte(named("app")), Path: EnvPath}},
		{EnvPath, UserData{Source: "nocloud", Origin: "/var/lib/cloud/seed/nocloud/user-data", Data: []byte(named("seed")), Path: "/var/lib/cloud/seed/nocloud/user-data"}},
		{"/var/lib/cloud/seed/nocloud/user-data", UserData{Source: "nocloud", Origin: "/var/lib/cloud/seed/nocloud-net/user-data", Data: []byte(named("seed net")), Path: "/var/lib/cloud/seed/nocloud-net/user-data"}},
		{"/var/lib/cloud/seed/nocloud-net/user-data", UserData{Source: "nocloud", Origin: "/srv/seed/user-data", Data: []byte(named("argument")), Path: "/srv/seed/user-data"}},
		{"/cmdline", UserData{Source: "nocloud", Origin: "/srv/serial/user-data", Data: []byte(named("serial")), Path: "/srv/serial/user-data"}},
		{"/serial", UserData{Source: "nocloud", Origin: "nocloud on " + drives["cidata"] + " (user-data)", Data: []byte(named("cidata"))}},
		{"cidata", UserData{Source: "config-2", Origin: "config-2 on " + drives["config-2"] + " (openstack/latest/user_data)", Data: []byte(named("config-2"))}},
		{"config-2", UserData{Source: "ec2", Origin: "ec2 " + ec2 + "/latest/user-data", Data: []byte(named("ec2")), Network: true}},
		{"ec2", UserData{Source: "azure", Origin: "azure " + azure + "/metadata/instance/compute/userData", Data: []byte(named("azure")), Network: true}},
	} {
		delete(all, step.takeAway)
		delete(drives, step.takeAway)
		delete(services, step.takeAway)
		t.Run(step.want.Origin, func(t *testing.T) {
			result, err := Find(t.Context(), Config{
				System: host(t, all), EnvYML: "/etc/mine.yml",
				Machine: &Machine{Arguments: []string{"/cmdline", "/serial"}, Drives: labelled(drives), Services: services},
			})
			if err != nil || result.Found == nil {
				t.Fatalf("Find = %+v, %v", result, err)
			}
			if diff := cmp.Diff(step.want, *result.Found); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVerdictsOnEverySource(t *testing.T) {
	result, err := Find(t.Context(), Config{
		System: host(t, map[string]string{"/cmdline": "quiet"}), EnvYML: "/nowhere.yml",
		Machine: &Machine{Arguments: []string{"/cmdline"}, Drives: labelled(nil), Services: map[string]string{
			"ec2": "http://127.0.0.1:1", "gce": serve(t, serveGoogle(text(config))), "azure": "http://127.0.0.1:1",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, v := range result.Sources {
		lines = append(lines, v.Source+" | "+string(v.Outcome)+" | "+strings.Split(v.Detail, ": dial")[0])
	}
	want := []string{
		"file | nothing | there is no /nowhere.yml",
		"file | nothing | there is no /app/env.yml",
		"nocloud | nothing | there is no user-data in /var/lib/cloud/seed",
		"nocloud | nothing | this machine was started without ds=nocloud;s=",
		"nocloud | nothing | there is no drive labelled cidata",
		"config-2 | nothing | there is no drive labelled config-2",
		"nocloud | nothing | this machine was started without ds=nocloud;s=",
		"ec2 | nothing | nobody answers at http://127.0.0.1:1/latest/api/token",
		"gce | found | " + result.Found.Origin,
		"openstack | not asked | an earlier source has ended the search",
		"digitalocean | not asked | an earlier source has ended the search",
		"hetzner | not asked | an earlier source has ended the search",
		"azure | not asked | an earlier source has ended the search",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	data, err := json.Marshal(result)
	if err != nil || strings.Contains(string(data), "ecs.example.org") {
		t.Errorf("the JSON form is %s, %v", data, err)
	}
	if !strings.Contains(string(data), `{"source":"file","place":"$ENV_YML","outcome":"nothing","detail":"there is no /nowhere.yml","took_ns":`) {
		t.Errorf("the JSON form is %s", data)
	}
}

func TestADirectoryIsNoMachine(t *testing.T) {
	result, err := Find(t.Context(), Config{System: host(t, map[string]string{"/proc/cmdline": "ds=nocloud;s=/seed", "/seed/user-data": config})})
	if err != nil || result.Found != nil || result.Sources == nil {
		t.Fatalf("Find = %+v, %v", result, err)
	}
	for _, v := range append(result.Sources[3:], result.Sources[0]) {
		if v.Outcome != NotAsked {
			t.Errorf("the verdict is %+v", v)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for _, test := range []struct {
		name   string
		make   func(t *testing.T, path string)
		says   string
		remedy string
	}{
		{"of another user", func(t *testing.T, path string) {
			write(t, path, config)
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Skip(err)
			}
		}, "belongs to user 65534", "chown root /app/env.yml"},
		{"empty", func(t *testing.T, path string) { write(t, path, "\n") }, "it is empty", "or remove it"},
		{"a directory", func(t *testing.T, path string) { mustDo(t, os.Mkdir(path, 0o755)) }, "no regular file", "regular file"},
		{"a pipe", func(t *testing.T, path string) { mustDo(t, syscall.Mkfifo(path, 0o600)) }, "no regular file", "regular file"},
		{"a link in a circle", func(t *testing.T, path string) { mustDo(t, os.Symlink(path, path)) }, "too many levels", "make /app/env.yml a readable file"},
		{"too large", func(t *testing.T, path string) {
			write(t, path, "")
			mustDo(t, os.Truncate(path, 1<<40))
		}, "larger than", "move large content"},
		{"packed and cut off", func(t *testing.T, path string) { write(t, path, gzipped(config)[:40]) }, "cut off", "whole"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sys := host(t, map[string]string{"/app/other": "", "/var/lib/cloud/seed/nocloud/user-data": config})
			test.make(t, sys.Path(EnvPath))
			result, err := Find(t.Context(), Config{System: sys})
			if err == nil || result.Found != nil || !strings.HasPrefix(err.Error(), "cannot read the environment from file: /app/env.yml: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Find = %+v, %v", result.Found, err)
			}
			if !strings.Contains(remedy.Of(err), test.remedy) {
				t.Errorf("the remedy is %q", remedy.Of(err))
			}
			if got := result.Sources[1].Outcome; got != Broken {
				t.Errorf("the verdict is %s", got)
			}
			if got := len(result.Sources); got != 13 {
				t.Errorf("there are %d verdicts", got)
			}
		})
	}
}

func TestATooLargeFileIsNotRead(t *testing.T) {
	sys := host(t, map[string]string{EnvPath: ""})
	mustDo(t, os.Truncate(sys.Path(EnvPath), DefaultLimit+1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Find(t.Context(), Config{System: sys}); err == nil {
		t.Error("it is taken")
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > DefaultLimit {
		t.Errorf("it took %d bytes", spent)
	}
}

func TestAFileIsFollowedThroughALink(t *testing.T) {
	sys := host(t, map[string]string{"/app/real": gzipped(config)})
	mustDo(t, os.Symlink("real", sys.Path(EnvPath)))
	result, err := Find(t.Context(), Config{System: sys})
	if err != nil || result.Found == nil || string(result.Found.Data) != config || result.Found.Path != EnvPath {
		t.Errorf("Find = %+v, %v", result.Found, err)
	}
}

func TestWhatRanBeforeStandsIn(t *testing.T) {
	cached := &UserData{Source: "openstack", Origin: "openstack http://169.254.169.254/…", Data: []byte(named("cached")), Network: true}
	up := func(document http.HandlerFunc) func(*testing.T) string {
		return func(t *testing.T) string { return serve(t, serveTree("/openstack/latest/user_data")(document)) }
	}
	for _, test := range []struct {
		name  string
		own   func(t *testing.T) string // its own source
		ec2   func(t *testing.T) string // one before it
		azure func(t *testing.T) string // one after it
		want  string                    // the source of the result, "" for none
		stale bool
		err   string
	}{
		{name: "its source is up", own: up(text(config)), want: "openstack"},
		{name: "its source is silent", own: refusing, want: "openstack", stale: true},
		{name: "its source is broken", own: up(status(500)), want: "openstack", stale: true},
		{name: "its source has nothing", own: up(status(404))},
		{name: "its source is not asked", own: nil},
		{name: "one before it has a document", own: refusing, ec2: answering("ec2", text(config)), want: "ec2"},
		{name: "one after it has a document", own: refusing, azure: answering("azure", text(config)), want: "openstack", stale: true},
		{name: "one before it is broken too", own: refusing, ec2: answering("ec2", status(500)), want: "openstack", stale: true},
		{name: "one after it is broken too", own: refusing, azure: answering("azure", status(500)), want: "openstack", stale: true},
		{name: "its source is up, one before it is broken", own: up(text(config)), ec2: answering("ec2", status(500)), err: "ec2"},
		{name: "its source has nothing, one before it is broken", own: up(status(404)), ec2: answering("ec2", status(500)), err: "ec2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := &Machine{Services: map[string]string{}}
			for name, base := range map[string]func(*testing.T) string{"openstack": test.own, "ec2": test.ec2, "azure": test.azure} {
				if base != nil {
					m.Services[name] = base(t)
				}
			}
			result, err := Find(t.Context(), Config{System: host(t, nil), Machine: m, Cached: cached})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), "from "+test.err+": ") {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Found; (got == nil) != (test.want == "") || got != nil && got.Source != test.want {
				t.Fatalf("found %+v", got)
			}
			if result.Cached != test.stale || test.stale != (result.Found == cached) {
				t.Errorf("the result is %+v", result)
			}
			v := verdictOf(t, result, "openstack")
			if v.Cached != test.stale || test.stale && (v.Outcome != Found || !strings.Contains(v.Detail, "stands in: ")) {
				t.Errorf("the verdict is %+v", v)
			}
		})
	}
}

// answering is the service of that source with this document.
func answering(source string, document http.HandlerFunc) func(*testing.T) string {
	for _, c := range clouds {
		if c.source == source {
			return func(t *testing.T) string { return serve(t, c.serve(document)) }
		}
	}
	panic(source)
}

func TestALocalDocumentNeedsNoCache(t *testing.T) {
	cached := &UserData{Source: "ec2", Data: []byte(config), Network: true}
	result, err := Find(t.Context(), Config{System: host(t, map[string]string{EnvPath: config}), Machine: everywhere("http://127.0.0.1:1"), Cached: cached})
	if err != nil || result.Cached || result.Found == nil || result.Found.Source != "file" {
		t.Errorf("Find = %+v, %v", result, err)
	}
}

func TestSeedArgument(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"", ""},
		{"ro quiet ds=nocloud", ""},
		{"ds=nocloud;s=/seed/", "/seed/"},
		{"ro ds=nocloud;h=name;s=http://10.0.0.1/seed/;i=1 quiet", "http://10.0.0.1/seed/"},
		{"ds=nocloud-net;seedfrom=https://server/", "https://server/"},
		{`"ds=nocloud;s=/seed"`, "/seed"},
		{`ds="nocloud;s=/seed"`, "/seed"},
		{"ds=nocloud;s=http://server/?a=b&file=", "http://server/?a=b&file="},
		{"ds=nocloudy;s=/seed", ""},
		{"ds=ec2;s=/seed", ""},
		{"VMware-56 4d 0e", ""},
	} {
		t.Run(test.line, func(t *testing.T) {
			if got := seedArgument(test.line + "\n"); got != test.want {
				t.Errorf("seedArgument = %q, want %q", got, test.want)
			}
		})
	}
}

func TestSeedAddresses(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/seed/user-data" || r.URL.RawQuery == "file=user-data" {
			_, _ = w.Write([]byte(config))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	for _, test := range []struct {
		name, seed string
		outcome    Outcome
	}{
		{"a directory", base + "/seed/", Found},
		{"a directory without a slash", base + "/seed", Found},
		{"a place for the name", base + "/seed/%s", Found},
		{"a query", base + "/?file=", Found},
		{"nothing there", base + "/other/", Nothing},
		{"nobody there", "http://127.0.0.1:1/seed/", Nothing},
		{"another scheme", "ftp://127.0.0.1/seed/", Broken},
		{"a relative path", "seed", Broken},
		{"no address", "http://%zz/", Broken},
		{"a path", "/seed", NotAsked},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, err := Find(t.Context(), Config{
				System:  host(t, map[string]string{"/cmdline": "ds=nocloud;s=" + test.seed}),
				Machine: &Machine{Arguments: []string{"/nowhere", "/cmdline"}},
			})
			v := verdictOf(t, result, "nocloud")
			if test.outcome == Broken && v.Outcome != Broken { // refused as soon as it is seen not to be a path
				v = result.Sources[3]
			}
			if v.Outcome != test.outcome || (err != nil) != (test.outcome == Broken) {
				t.Errorf("the verdict is %+v, the error %v", v, err)
			}
			if test.outcome == Found && (!result.Found.Network || string(result.Found.Data) != config || strings.Contains(result.Found.Origin, "?")) {
				t.Errorf("found %+v", result.Found)
			}
		})
	}
}

func TestTheRealMachine(t *testing.T) {
	want := &Machine{
		Arguments: []string{"/proc/cmdline", "/sys/class/dmi/id/product_serial"},
		Services: map[string]string{
			"ec2": "http://169.254.169.254", "openstack": "http://169.254.169.254", "digitalocean": "http://169.254.169.254",
			"hetzner": "http://169.254.169.254", "azure": "http://169.254.169.254", "gce": "http://metadata.google.internal",
		},
	}
	got := newSearch(Config{System: system.New(system.Config{})})
	if diff := cmp.Diff(want, got.Machine, cmpopts.IgnoreFields(Machine{}, "Drives")); diff != "" || got.Machine.Drives == nil || got.Limit != DefaultLimit {
		t.Errorf("%d bytes of %s", got.Limit, diff)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	mustDo(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600))
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// What a link leads to may be on a disk that is not mounted: another source's document must not take its place.
func TestALinkThatLeadsNowhereIsBroken(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "app"), 0o755), os.Symlink("/data/env.yml", filepath.Join(root, "app/env.yml"))); err != nil {
		t.Fatal(err)
	}
	result, err := Find(t.Context(), Config{System: system.New(system.Config{Root: root})})
	if err == nil || result.Found != nil || !strings.Contains(err.Error(), "/app/env.yml is a link to something that is not there") {
		t.Errorf("found %v, %v", result.Found, err)
	}
}
