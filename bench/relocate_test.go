package bench

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/internal/system"
	"appliance/storage/relocate"
)

// TestBenchRelocate measures the move of a directory to another file system beside cp, which does not look at what it has written.
func TestBenchRelocate(t *testing.T) {
	if !*full {
		t.Skip("only with -full; TestSmokeRelocate tries the harness")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := suite{tb: t, ctx: ctx, report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(ctx)}}
	s.relocations(plan{1, max(1, int(5**rounds))}, 10_000, 1_000_000_000)
	build := filepath.Join(repository(t), "build")
	if err := os.MkdirAll(build, 0o755); err != nil {
		t.Fatal(err)
	}
	publish(t, s.report, filepath.Join(build, "bench-relocate.json"))
}

// TestSmokeRelocate tries the harness with little to move.
func TestSmokeRelocate(t *testing.T) {
	if *full {
		t.Skip("TestBenchRelocate measures it all")
	}
	s := suite{tb: t, ctx: t.Context(), report: &Report{Version: 1, Began: time.Now(), Facts: gatherFacts(t.Context())}}
	s.relocations(plan{0, 1}, 300, 30_000_000)
	var text strings.Builder
	if err := s.report.WriteMarkdown(&text); err != nil {
		t.Error(err)
	}
	t.Logf("%s", &text)
	for _, row := range s.report.Rows {
		if q := row.Requirement; q != nil && q.Factor > generous["ms"] {
			t.Errorf("%s, %s: %s", row.What, row.Who, q)
		}
	}
}

// volumes are two file systems of their own, and what is moved from one to the other.
type volumes struct {
	*suite
	root  string
	files int
	bytes int
}

const (
	movedFrom = "/old/data"
	movedTo   = "/new/data"
)

// relocations measures from the first look until everything is on the disk and in force, the caches being cold: ours with reading
// back, cp without. What takes the old directory away, when the application has long been running on the new one, has a row of its own, beside
// what does the same.
func (s *suite) relocations(p plan, files, bytes int) {
	if os.Geteuid() != 0 {
		s.tb.Skip("only root mounts file systems")
	}
	v := volumes{suite: s, root: s.tb.TempDir(), files: files, bytes: bytes}
	megabytes := 100 + 3*bytes/1_000_000
	v.volume("old", megabytes)
	v.volume("new", megabytes)
	v.plant()
	what := fmt.Sprintf("move %d files, %d MB, to another ext4", files, bytes/1_000_000)
	ours, plain := s.ours(what, "relocate: read back, in force"), series{what, "cp -a, sync", "ms"}
	whole, alike := s.ours(what, "relocate: read back, in force, old one removed"), series{what, "cp -a, sync, diff -r, rm -r, sync", "ms"}
	from, to := v.root+movedFrom, v.root+movedTo
	s.measure(p,
		func(record recorder) {
			inForce := 0.0
			record(whole, v.timed(func() { inForce = v.relocate() }))
			record(ours, inForce)
		},
		func(record recorder) {
			record(plain, v.timed(func() { v.run("cp", "-a", from, to); v.run("sync") }))
		},
		func(record recorder) {
			record(alike, v.timed(func() {
				v.run("cp", "-a", from, to)
				v.run("sync")
				v.run("diff", "-r", "--no-dereference", from, to)
				v.run("rm", "-r", from)
				v.run("sync")
			}))
		})
	s.row(ours).requireBeside(s.row(plain), 1.3)
}

// volume mounts a new file system of a file of its own.
func (v volumes) volume(name string, megabytes int) {
	v.tb.Helper()
	image, at := filepath.Join(v.root, name+".img"), filepath.Join(v.root, name)
	file, err := os.Create(image)
	if err == nil {
		err = file.Truncate(int64(megabytes) << 20)
	}
	if err == nil {
		err = file.Close()
	}
	if err == nil {
		err = os.Mkdir(at, 0o755)
	}
	if err != nil {
		v.tb.Fatal(err)
	}
	v.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	if out, err := exec.CommandContext(v.ctx, "mount", "-o", "loop", image, at).CombinedOutput(); err != nil {
		v.tb.Skipf("no loop devices here: %v: %s", err, out)
	}
	v.tb.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			v.tb.Errorf("cannot unmount %s: %v: %s", at, err, out)
		}
	})
}

func (v volumes) run(argv ...string) {
	v.tb.Helper()
	if out, err := exec.CommandContext(v.ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		v.tb.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// plant makes the model of what is moved: a hundred files in a directory, most of them small, as where images and databases lie.
func (v volumes) plant() {
	v.tb.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	left := v.bytes
	for n := range v.files {
		dir := filepath.Join(v.root, "old/model", fmt.Sprint(n/1000), fmt.Sprint(n/100))
		size := min(1000+random.IntN(40_000), left)
		if n%50 == 0 { // few hold most of it
			size = min(2*left/(v.files/50-n/50+1), 8<<20, left)
		}
		if n == v.files-1 {
			size = min(left, len(data))
		}
		left -= size
		at := random.IntN(len(data) - size + 1)
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), data[at:at+size], 0o644)
		}
		if err != nil {
			v.tb.Fatal(err)
		}
	}
	v.report.note("of the %d MB to be moved %d MB were left out", v.bytes/1_000_000, left/1_000_000)
}

// timed makes everything as it was, measures do, and answers milliseconds.
func (v volumes) timed(do func()) float64 {
	v.tb.Helper()
	from, to := v.root+movedFrom, v.root+movedTo
	v.run("rm", "-rf", from, to, v.root+"/state")
	v.run("cp", "-a", v.root+"/old/model", from)
	v.run("sync")
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0o200); err != nil {
		v.report.note("the caches are warm: %v", err)
	}
	began := time.Now()
	do()
	return milliseconds(time.Since(began))
}

// relocate answers after how many milliseconds the new directory was in force.
func (v volumes) relocate() (inForce float64) {
	v.tb.Helper()
	began := time.Now()
	r := relocate.New(relocate.Config{System: system.New(system.Config{Root: v.root}), Dir: "/state", Log: slog.New(slog.DiscardHandler)})
	move := relocate.Move{From: movedFrom, To: movedTo}
	if err := r.Move(v.ctx, move); err != nil {
		v.tb.Fatal(err)
	}
	inForce = milliseconds(time.Since(began))
	if err := r.Clear(v.ctx, move); err != nil {
		v.tb.Fatal(err)
	}
	if _, err := os.Lstat(v.root + movedTo); err != nil {
		v.tb.Fatal(err)
	}
	return inForce
}
