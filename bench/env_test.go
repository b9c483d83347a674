package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// withPyYAML does to an environment what its predecessor's script did, as shortly as Python can.
const withPyYAML = `import sys, yaml
def walk(prefix, node):
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if pairs is None: print("%s='%s'" % (prefix.upper(), node))
    else:
        for key, value in pairs: walk("%s_%s" % (prefix, key), value)
data = yaml.safe_load(sys.stdin)
for key in ("ecs", "appliance"): walk(key, data[key])
`

// environment measures whole processes that turn an env.yml into variables, beside the floor: a process that does
// nothing, and ours when it does next to nothing.
func (s *suite) environment(p plan) {
	dir := s.tb.TempDir()
	h := newHost(s.tb, s.programs.appliance, s.interval)
	var turns []turn
	process := func(of series, input string, command func() *exec.Cmd) {
		turns = append(turns, func(record recorder) {
			cmd := command()
			cmd.Stdin = s.open(input)
			defer cmd.Stdin.(*os.File).Close()
			record(of, timed(s.tb, cmd))
		})
	}
	program := func(name string, args ...string) func() *exec.Cmd {
		return func() *exec.Cmd { return exec.CommandContext(s.tb.Context(), name, args...) }
	}
	var required []series
	for _, size := range []int{1000, 10000} {
		what := fmt.Sprintf("env.yml of %d kB → variables", size/1000)
		input := filepath.Join(dir, fmt.Sprintf("%d.yml", size))
		if err := os.WriteFile(input, sampleEnv(size), 0o600); err != nil {
			s.tb.Fatal(err)
		}
		flatten := s.ours(what, "env flatten")
		required = append(required, flatten)
		process(flatten, input, program(s.programs.appliance, "env", "flatten", "ecs,appliance"))
		if s.programs.pyYAML {
			process(series{what, "python3 with PyYAML", "ms"}, input, program("python3", "-c", withPyYAML))
		}
	}
	const floor = "process, floor"
	process(s.ours(floor, "version"), os.DevNull, program(s.programs.appliance, "version"))
	process(series{floor, "true", "ms"}, os.DevNull, program("true"))
	if s.programs.composeV5 != "" {
		process(s.v5("compose file → project", "config -q"), os.DevNull, func() *exec.Cmd { return h.v5(s.programs.composeV5, "config", "-q") })
	}
	s.measure(p, turns...)
	for _, of := range required {
		s.row(of).requireMedian(5)
	}
}

func (s *suite) open(path string) *os.File {
	file, err := os.Open(path)
	if err != nil {
		s.tb.Fatal(err)
	}
	return file
}

// sampleEnv is an environment of about the given size in bytes, with nesting, lists and the types that are told apart.
func sampleEnv(size int) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, "#cloud-config\nappliance:\n  domain: box.example.org\n  standby: false\necs:\n  debug: no\n")
	for n := 1; b.Len() < size; n++ {
		fmt.Fprintf(&b, "  tenant%d:\n    name: \"Number %d of many\"\n    port: %d\n    enabled: yes\n    hosts: [a%d.example.org, b%d.example.org]\n",
			n, n, 8000+n, n, n)
	}
	return b.Bytes()
}
