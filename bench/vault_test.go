package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/env/create"
	"appliance/internal/system"
	"appliance/storage/vault"
)

// TestBenchVault measures verifying beside a loop of gpg --decrypt on the same files, and large files as a stream.
func TestBenchVault(t *testing.T) {
	if !*full {
		t.Skip("only with -full; TestSmokeVault tries the harness")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := suite{tb: t, ctx: ctx, report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(ctx)}}
	s.programs.appliance = buildProgram(t, filepath.Join(repository(t), "build"), "appliance")
	s.vault(plan{1, max(1, int(5**rounds))}, 300, 50_000, 1_000_000_000)
	publish(t, s.report, filepath.Join(repository(t), "build", "bench-vault.json"))
}

// TestSmokeVault tries the harness with few small files. Memory does not depend on how large they are.
func TestSmokeVault(t *testing.T) {
	if *full {
		t.Skip("TestBenchVault measures it all")
	}
	s := suite{tb: t, ctx: t.Context(), report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(t.Context())}}
	s.programs.appliance = buildProgram(t, t.TempDir(), "appliance")
	s.vault(plan{0, 1}, 20, 50_000, 60_000_000)
	var text strings.Builder
	if err := s.report.WriteMarkdown(&text); err != nil {
		t.Error(err)
	}
	t.Logf("%s", &text)
	for _, row := range s.report.Rows {
		if q := row.Requirement; q != nil && q.Factor > generous[row.Unit] {
			t.Errorf("%s, %s: %s", row.What, row.Who, q)
		}
	}
}

// store is a vault with documents, and the keys that open them.
type store struct {
	*suite
	root string
	home vault.Home
	keys vault.Keys
}

func (s *suite) vault(p plan, files, size, large int) {
	if _, err := exec.LookPath("gpg"); err != nil {
		s.tb.Skip(err)
	}
	v := store{suite: s}
	v.prepare()
	v.fill(files, size)
	looks := s.ours("keys of the vault, nothing to do", "vault step")
	what := fmt.Sprintf("open and check %d documents of %d kB", files, size/1000)
	ours, loop := s.ours(what, "vault verify"), series{what, "gpg --decrypt, one after the other", "ms"}
	documents := filepath.Join(v.root, vault.StorePath)
	s.measure(p,
		func(record recorder) { record(looks, v.look()) },
		func(record recorder) { record(ours, timed(s.tb, v.command("verify", documents))) },
		func(record recorder) { record(loop, v.gpgLoop(documents)) })
	s.row(looks).requireMedian(1)
	s.row(ours).requireBeside(s.row(loop), 0.2)

	v.stream(p, large)
}

// prepare makes keys and the home. Its path is short, since gpg's agent listens in it.
func (v *store) prepare() {
	v.tb.Helper()
	root, err := os.MkdirTemp("", "bv")
	if err != nil {
		v.tb.Fatal(err)
	}
	v.root = root
	v.tb.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", filepath.Join(root, vault.HomePath), "--kill", "all").Run()
		_ = os.RemoveAll(root)
	})
	v.home = vault.Home{System: system.New(system.Config{Root: root}), Owner: os.Geteuid()}
	encrypt, err := create.NewOpenPGP("ecs_mediaserver", time.Now())
	if err != nil {
		v.tb.Fatal(err)
	}
	sign, err := create.NewOpenPGP("ecs_authority", time.Now())
	if err != nil {
		v.tb.Fatal(err)
	}
	v.keys = vault.Keys{Encrypt: encrypt, Sign: sign}
	for _, err := range []error{v.home.Make(v.ctx, v.keys), os.MkdirAll(filepath.Join(root, vault.StorePath), 0o755)} {
		if err != nil {
			v.tb.Fatal(err)
		}
	}
}

// incompressible is as a packed document: nothing can make it smaller.
func incompressible(n int) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(n))
}

func (v *store) fill(files, size int) {
	v.tb.Helper()
	ring, err := v.home.Ring()
	if err != nil {
		v.tb.Fatal(err)
	}
	for n := range files {
		var sealed bytes.Buffer
		err := ring.Seal(v.ctx, &sealed, incompressible(size))
		if err == nil {
			err = os.WriteFile(filepath.Join(v.root, vault.StorePath, strconv.Itoa(n)), sealed.Bytes(), 0o600)
		}
		if err != nil {
			v.tb.Fatal(err)
		}
	}
}

func (v *store) look() float64 {
	v.tb.Helper()
	const times = 50
	began := time.Now()
	for range times {
		if why, err := v.home.Differs(v.keys); why != "" || err != nil {
			v.tb.Fatal(why, err)
		}
	}
	return milliseconds(time.Since(began)) / times
}

func (v *store) command(args ...string) *exec.Cmd {
	return exec.CommandContext(v.ctx, v.programs.appliance, append([]string{"--root", v.root, "vault"}, args...)...)
}

func (v *store) gpgLoop(dir string) float64 {
	v.tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		v.tb.Fatal(err)
	}
	began := time.Now()
	for _, e := range entries {
		timed(v.tb, exec.CommandContext(v.ctx, "gpg", "--homedir", filepath.Join(v.root, vault.HomePath), "--batch", "--quiet", "--output", os.DevNull, "--yes", "--decrypt", filepath.Join(dir, e.Name())))
	}
	return milliseconds(time.Since(began))
}

// stream measures a large file, with the most memory that the process has at any time, pages of the program included.
func (v *store) stream(p plan, size int) {
	v.tb.Helper()
	plain, dir := filepath.Join(v.root, "plain"), filepath.Join(v.root, "large")
	sealed, opened := filepath.Join(dir, "sealed"), filepath.Join(v.root, "opened")
	file, err := os.Create(plain)
	if err == nil {
		_, err = io.Copy(file, incompressible(size))
	}
	if err = errors.Join(err, file.Close(), os.Mkdir(dir, 0o755)); err != nil {
		v.tb.Fatal(err)
	}
	what, most := fmt.Sprintf("a file of %d MB", size/1_000_000), fmt.Sprintf("most memory for a file of %d MB", size/1_000_000)
	var turns []turn
	verbs := map[string][]string{"seal": {"seal", "--force", plain, sealed}, "open": {"open", "--force", sealed, opened}, "verify": {"verify", dir}}
	for _, verb := range []string{"seal", "open", "verify"} {
		turns = append(turns, func(record recorder) {
			took, memory := v.watched(v.command(verbs[verb]...))
			record(v.ours(what, "vault "+verb), took)
			record(megabytes(v.ours(most, "vault "+verb)), memory)
		})
	}
	v.measure(plan{0, max(1, p.rounds/2)}, turns...)
	const limit = 30 // MB
	for verb := range verbs {
		v.row(v.ours(most, "vault "+verb)).requireEach(limit)
	}
}

// watched runs a command and answers how long it took, in ms, and the peak of its memory in MB. What the kernel tells of a child that
// has ended counts the pages of its parent before the exec.
func (v *store) watched(cmd *exec.Cmd) (took, peak float64) {
	v.tb.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		v.tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				v.tb.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
			}
			return milliseconds(time.Since(began)), peak
		case <-tick.C:
			peak = max(peak, peakOf(cmd.Process.Pid))
		}
	}
}

// peakOf is the most memory that a process has had since its exec, in MB; 0 when it has ended.
func peakOf(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(data), "\nVmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, _ := strconv.ParseFloat(number, 64)
	return kib * 1024 / 1e6
}
