package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
)

// ReportVersion is the version of Report as JSON.
const ReportVersion = 1

// Report is what verifying has found.
type Report struct {
	Version int       `json:"version"`
	Dir     string    `json:"dir"`
	Files   int64     `json:"files"` // looked at
	Bytes   int64     `json:"bytes"` // of them
	Bad     []BadFile `json:"bad"`   // by name
	More    int64     `json:"more"`  // bad ones that are not listed
}

// BadFile is a document that is not as it was sealed.
type BadFile struct {
	File   string `json:"file"` // below the directory
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
}

const maxBad = 10_000 // so that a wrong directory needs no more memory than a right one

// Progress is how far verifying has come.
type Progress struct{ Files, TotalFiles, Bytes, TotalBytes int64 }

// Verify opens every file below dir, a path of the file system, and checks its signature, as many at a time as there are cores. progress
// is called now and then, never twice at once. The error is nil also where files are bad: the report tells.
func (h Home) Verify(ctx context.Context, dir string, progress func(Progress)) (Report, error) {
	v := verification{report: Report{Version: ReportVersion, Dir: dir, Bad: []BadFile{}}, progress: progress}
	if _, err := h.Ring(); err != nil {
		return v.report, err
	}
	var err error
	if v.root, err = os.OpenRoot(dir); err != nil { // the directory itself may be a link, what is in it not
		return v.report, cannotRead(err)
	}
	defer v.root.Close()
	if err := v.count(ctx); err != nil {
		return v.report, err
	}
	files := make(chan string)
	group, inner := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			ring, err := h.Ring()
			if err != nil {
				return err
			}
			for file := range files {
				if err := v.verify(inner, ring, file); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(files)
		return v.hand(inner, files)
	})
	err = group.Wait()
	slices.SortFunc(v.report.Bad, func(a, b BadFile) int { return cmp.Compare(a.File, b.File) })
	return v.report, err
}

func cannotRead(err error) error {
	return remedy.With(fmt.Errorf("cannot read the documents: %w", err), "name the directory that they are in, and run it as root")
}

type verification struct {
	root     *os.Root
	total    Progress
	progress func(Progress)

	mu     sync.Mutex
	report Report
	told   time.Time
}

func (v *verification) count(ctx context.Context) error {
	return walk(v.root, func(_ string, info fs.FileInfo, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && !info.IsDir() {
			v.total.TotalFiles++
			v.total.TotalBytes += regular(info)
		}
		return nil
	})
}

// regular is the size of a file, and nothing for what is none.
func regular(info fs.FileInfo) int64 {
	if info == nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// hand names every file to those that verify. A directory that cannot be read is a bad one among the others.
func (v *verification) hand(ctx context.Context, files chan<- string) error {
	return walk(v.root, func(name string, info fs.FileInfo, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && name == ".":
			return cannotRead(err)
		case err != nil:
			v.note(name, 0, err)
			return nil
		case info.IsDir():
			return nil
		}
		select {
		case files <- name:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// verify looks at one file. A file that was written to meanwhile is looked at once more.
func (v *verification) verify(ctx context.Context, ring *Ring, file string) error {
	for again := true; ; again = false {
		before, err := v.root.Lstat(file)
		if err == nil {
			err = v.open(ctx, ring, file, before)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		after, lost := v.root.Lstat(file)
		if err != nil && again && before != nil && lost == nil && (!os.SameFile(before, after) || before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime())) {
			continue
		}
		v.note(file, regular(before), err)
		return nil
	}
}

func (v *verification) note(file string, size int64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Files++
	v.report.Bytes += size
	var known *Bad
	switch {
	case err == nil:
	case len(v.report.Bad) == maxBad:
		v.report.More++
	case errors.As(err, &known):
		v.report.Bad = append(v.report.Bad, BadFile{file, known.Reason, known.Detail})
	default:
		v.report.Bad = append(v.report.Bad, BadFile{file, Unreadable, err.Error()})
	}
	const often = 100 * time.Millisecond
	if now := time.Now(); v.progress != nil && (now.Sub(v.told) >= often || v.report.Files == v.total.TotalFiles) {
		v.told = now
		v.progress(Progress{v.report.Files, max(v.total.TotalFiles, v.report.Files), v.report.Bytes, max(v.total.TotalBytes, v.report.Bytes)})
	}
}

// open opens a document and drops what is in it.
func (v *verification) open(ctx context.Context, ring *Ring, name string, seen fs.FileInfo) error {
	switch {
	case seen.Mode().Type() == fs.ModeSymlink:
		return bad(Unreadable, "it is a link, and links are not followed")
	case !seen.Mode().IsRegular():
		return bad(Unreadable, "it is no file")
	}
	file, err := v.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !os.SameFile(seen, info) {
		return errors.Join(err, errReplaced)
	}
	_, err = ring.Open(ctx, io.Discard, file)
	return err
}
