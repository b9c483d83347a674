package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"appliance/env"
)

// withYq prints the scalars of a document with their paths, which is as near as yq comes to flattening.
const withYq = `paths(scalars) as $p | "\($p | map(tostring) | join("_") | ascii_upcase)=\(getpath($p) | tostring | @sh)"`

// environment measures whole processes that turn an env.yml into variables or look for its faults, beside the floor: a
// process that does nothing, and ours when it does next to nothing.
func (s *suite) environment(p plan) {
	e := environments{suite: s, dir: s.tb.TempDir()}
	for _, kilobytes := range []int{1, 10} {
		e.flattening(kilobytes)
		e.validating(kilobytes)
	}
	const floor = "process, floor"
	e.process(s.ours(floor, "version"), os.DevNull, s.programs.appliance, "version")
	e.process(series{floor, "true", "ms"}, os.DevNull, "true")
	if s.programs.composeV5 != "" {
		h := newHost(s.tb, s.programs.appliance, s.interval)
		e.turns = append(e.turns, func(record recorder) {
			record(s.v5("compose file → project", "config -q"), timed(s.tb, h.v5(s.programs.composeV5, "config", "-q")))
		})
	}
	e.measure(p)

	large := environments{suite: s, dir: s.tb.TempDir()}
	large.flattening(1000)
	large.measure(plan{p.warm / 3, max(1, p.rounds/6)}) // a round takes seconds
}

// environments are the turns of what is done with environments, and what their rows must keep to.
type environments struct {
	*suite
	dir      string
	turns    []turn
	required []func()
}

func (e *environments) measure(p plan) {
	e.suite.measure(p, e.turns...)
	for _, require := range e.required {
		require()
	}
}

func (e *environments) file(kilobytes int) string {
	path := filepath.Join(e.dir, fmt.Sprintf("%d.yml", kilobytes))
	if err := os.WriteFile(path, sampleEnv(1000*kilobytes), 0o600); err != nil {
		e.tb.Fatal(err)
	}
	return path
}

// process adds a program that reads a file on standard input.
func (e *environments) process(of series, input, name string, args ...string) {
	e.turns = append(e.turns, func(record recorder) {
		file := e.open(input)
		defer file.Close()
		cmd := exec.CommandContext(e.tb.Context(), name, args...)
		cmd.Stdin = file
		record(of, timed(e.tb, cmd))
	})
}

// faster is by how much flatyaml has to be faster than either peer, as a process.
const faster = 20

func (e *environments) flattening(kilobytes int) {
	const keys = "ecs,appliance"
	what, input := fmt.Sprintf("env.yml of %d kB → variables", kilobytes), e.file(kilobytes)
	whole, small := e.ours(what, "env flatten"), series{what, "flatyaml", "ms"}
	e.process(small, input, e.programs.flatyaml, keys)
	e.process(whole, input, e.programs.appliance, "env", "flatten", keys)
	if kilobytes <= 10 { // a real one is no larger
		e.required = append(e.required, func() { e.row(whole).requireMedian(5) })
	}
	var peers []series
	if e.programs.python != "" {
		script := filepath.Join("testdata", "flatyaml_rules.py")
		e.sameOutput(input, []string{e.programs.flatyaml, keys}, []string{e.programs.python, script, keys})
		peers = append(peers, series{what, "python3 with PyYAML", "ms"})
		e.process(peers[len(peers)-1], input, e.programs.python, script, keys)
	}
	if e.programs.yq != "" {
		peers = append(peers, series{what, "yq", "ms"})
		e.process(peers[len(peers)-1], input, e.programs.yq, "-r", withYq)
	}
	e.required = append(e.required, func() {
		var quickest *Row
		for _, of := range peers {
			if row := e.row(of); quickest == nil || row.Median < quickest.Median {
				quickest = row
			}
		}
		e.row(small).requireBeside(quickest, 1./faster)
	})
}

// sameOutput holds two programs against each other: only what does the same can be compared.
func (e *environments) sameOutput(input string, ours, theirs []string) {
	var outputs [2][]byte
	for i, argv := range [2][]string{ours, theirs} {
		file := e.open(input)
		cmd := exec.CommandContext(e.tb.Context(), argv[0], argv[1:]...)
		cmd.Stdin = file
		out, err := cmd.Output()
		file.Close()
		if err != nil {
			e.tb.Fatalf("%v: %v", argv, err)
		}
		outputs[i] = out
	}
	if !bytes.Equal(outputs[0], outputs[1]) {
		e.tb.Fatalf("%v and %v make different variables of %s", ours, theirs, input)
	}
}

// validating measures the check as a process and as a call, which the start of a phase is. The first call compiles the
// schema; those that count do not.
func (e *environments) validating(kilobytes int) {
	what, input := fmt.Sprintf("env.yml of %d kB → its faults", kilobytes), e.file(kilobytes)
	process, call := e.ours(what, "env validate"), e.ours(what, "validate, as a call")
	e.process(process, os.DevNull, e.programs.appliance, "env", "validate", input)
	data := sampleEnv(1000 * kilobytes)
	e.validate(data)
	e.turns = append(e.turns, func(record recorder) { record(call, e.validate(data)) })
	e.required = append(e.required, func() {
		e.row(process).requireMedian(10)
		e.row(call).requireMedian(10)
	})
}

// validate parses and checks a document that has no faults, and answers how many milliseconds that took.
func (s *suite) validate(data []byte) float64 {
	began := time.Now()
	doc, err := env.Parse("env.yml", data)
	if err == nil {
		err = doc.Validate()
	}
	took := time.Since(began)
	if err != nil {
		s.tb.Fatal(err)
	}
	return milliseconds(took)
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
