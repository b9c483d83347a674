package pack_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"appliance/env/pack"
	"appliance/internal/disc"
	"appliance/internal/remedy"
)

func TestTheSeed(t *testing.T) {
	outputs := packaged(t, order())
	seed := outputs["env-cidata.iso"].Data
	image, err := disc.Open(bytes.NewReader(seed), int64(len(seed)))
	if err != nil {
		t.Fatal(err)
	}
	if image.Label != "cidata" {
		t.Errorf("label = %q", image.Label)
	}
	for name, want := range map[string]string{
		"user-data":   document,
		"meta-data":   string(pack.MetaData("ecs.example.org", []byte(document))),
		"env.yml.pdf": string(outputs["env.yml.pdf"].Data),
	} {
		if got, err := image.ReadFile(name, 1<<22); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestMetaDataOfOnesOwn(t *testing.T) {
	o := order()
	o.MetaData = []byte("instance-id: mine\n")
	seed := packaged(t, o)["env-cidata.iso"].Data
	image, err := disc.Open(bytes.NewReader(seed), int64(len(seed)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := image.ReadFile("meta-data", 100); err != nil || string(got) != "instance-id: mine\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSeedsThatAreNotMade(t *testing.T) {
	const meta, rest = "instance-id: mine\n", "\nappliance:\n  domain: x.example.org\n"
	const instance = "write a line such as 'instance-id: host-1' into it, or leave the meta-data out"
	for _, test := range []struct{ name, user, meta, want, remedy string }{
		{"no header", "appliance: {}\n", meta, "does not begin with #cloud-config", "make #cloud-config its first line"},
		{"an archive", "#cloud-config-archive" + rest, meta, "it is no #cloud-config", "make #cloud-config, and nothing else, its first line"},
		{"a word more", "#cloud-config x" + rest, meta, "it is no #cloud-config", "make #cloud-config, and nothing else, its first line"},
		{"a mark", "\ufeff#cloud-config" + rest, meta, "it begins with a byte order mark", "save it without"},
		{"no meta-data", document, "\n", "meta-data: is empty", instance},
		{"a list", document, "- instance-id: mine\n", "must be a mapping", instance},
		{"no YAML", document, "instance-id: [", "is not YAML", instance},
		{"no instance-id", document, "local-hostname: x\n", "no instance-id that is text", instance},
		{"an empty one", document, "instance-id: ' '\n", "no instance-id that is text", instance},
		{"a number", document, "instance-id: 1_0\n", "no instance-id that is text", instance},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := pack.Seed(made(), []byte(test.user), []byte(test.meta))
			if err == nil || !strings.HasPrefix(err.Error(), "cannot make a seed: ") || !strings.Contains(err.Error(), test.want) || remedy.Of(err) != test.remedy {
				t.Errorf("error %v, remedy %q", err, remedy.Of(err))
			}
		})
	}
	if _, err := pack.Seed(made(), []byte("#cloud-config \r\n"+rest), []byte(meta)); err != nil {
		t.Errorf("with space behind the first line: %v", err)
	}
}

// A host is a new instance to cloud-init when its environment has changed, and only then.
func TestInstanceID(t *testing.T) {
	id := func(domain, userData string) string { return instanceID(t, pack.MetaData(domain, []byte(userData))) }
	first := id("ecs.example.org", document)
	if !strings.HasPrefix(first, "ecs.example.org-") || id("ecs.example.org", document) != first {
		t.Errorf("instance-id = %q", first)
	}
	if id("ecs.example.org", document+"x: 1\n") == first || id("1e3", document) == first {
		t.Error("another environment has the same instance-id")
	}
}

func instanceID(t *testing.T, metaData []byte) string {
	t.Helper()
	var meta map[string]string
	if err := yaml.Unmarshal(metaData, &meta); err != nil {
		t.Fatal(err)
	}
	return meta["instance-id"]
}

// nocloud has cloud-init read a seed with the very code of its NoCloud datasource.
const nocloud = `
import json, sys
from cloudinit import helpers
from cloudinit.sources.DataSourceNoCloud import DataSourceNoCloud
seed, state = sys.argv[1:]
source = DataSourceNoCloud({}, None, helpers.Paths({"cloud_dir": state, "run_dir": state}))
source.seed_dirs = [seed]
print(json.dumps({
    "Found": source._get_data(),
    "Host": source.metadata["local-hostname"],
    "ID": source.get_instance_id(),
    "UserData": source.get_userdata_raw().decode(),
}))
`

func TestCloudInitReadsTheSeed(t *testing.T) {
	need(t, "bsdtar", "cloud-init")
	dir := t.TempDir()
	image := save(t, filepath.Join(dir, "seed.iso"), packaged(t, order())["env-cidata.iso"].Data)
	run(t, "bsdtar", "-C", dir, "-xf", image)
	type instance struct {
		Found              bool
		Host, ID, UserData string
	}
	var got instance
	out := run(t, "/usr/bin/python3", "-c", nocloud, dir, t.TempDir())
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := instance{true, "ecs.example.org", instanceID(t, pack.MetaData("ecs.example.org", []byte(document))), document}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what cloud-init reads (-want +got):\n%s", diff)
	}
}
