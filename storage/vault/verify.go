package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	v := verification{report: Report{Version: ReportVersion, Dir: dir, Bad: []BadFile{}}, dir: dir, progress: progress}
	if _, err := h.Ring(); err != nil {
		return v.report, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil { // the directory itself may be a link, what is in it not
		v.dir = real
	}
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
		return v.walk(inner, func(file string, _ fs.DirEntry) error {
			select {
			case files <- file:
				return nil
			case <-inner.Done():
				return context.Cause(inner)
			}
		})
	})
	err := group.Wait()
	slices.SortFunc(v.report.Bad, func(a, b BadFile) int { return cmp.Compare(a.File, b.File) })
	return v.report, err
}

type verification struct {
	dir      string
	total    Progress
	progress func(Progress)

	mu     sync.Mutex
	report Report
	told   time.Time
}

// walk hands on every file below the directory, by its name there.
func (v *verification) walk(ctx context.Context, seen func(file string, d fs.DirEntry) error) error {
	return filepath.WalkDir(v.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fs.ErrNotExist) && path != v.dir: // taken away meanwhile
			return nil
		case err != nil:
			return remedy.With(fmt.Errorf("cannot read the documents: %w", err), "name the directory that they are in, and run it as root")
		case d.IsDir():
			return nil
		}
		file, err := filepath.Rel(v.dir, path)
		if err != nil {
			return err
		}
		return seen(file, d)
	})
}

func (v *verification) count(ctx context.Context) error {
	return v.walk(ctx, func(_ string, d fs.DirEntry) error {
		v.total.TotalFiles++
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			v.total.TotalBytes += info.Size()
		}
		return nil
	})
}

// verify looks at one file. A file that was written to meanwhile is looked at once more.
func (v *verification) verify(ctx context.Context, ring *Ring, file string) error {
	for again := true; ; again = false {
		before, _ := os.Lstat(filepath.Join(v.dir, file))
		size, err := verifyFile(ctx, ring, filepath.Join(v.dir, file))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		after, _ := os.Lstat(filepath.Join(v.dir, file))
		if err != nil && again && before != nil && after != nil && (before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime())) {
			continue
		}
		v.note(file, size, err)
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

// verifyFile opens a document and drops what is in it.
func verifyFile(ctx context.Context, ring *Ring, path string) (size int64, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return 0, bad(Unreadable, "it is a link, and links are not followed")
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, bad(Unreadable, "it is no file")
	}
	_, err = ring.Open(ctx, io.Discard, file)
	return info.Size(), err
}
