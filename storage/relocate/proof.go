package relocate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"appliance/internal/remedy"
)

// proof is what is known of a file that was copied, and still open: it is to be read back from the disk.
type proof struct {
	path   string
	dst    int
	src    int // of a sparse file, else -1
	size   int64
	hash   uint64
	sparse bool
}

func (p proof) close() {
	unix.Close(p.dst)
	if p.src >= 0 {
		unix.Close(p.src)
	}
}

// A batch is written to the disk as a whole, and read back while the next one is copied. It bounds open files and what a disk
// is asked to do at once.
const (
	batchFiles = 512 // that are open: old hosts let a service have 4096, and four batches may be on their way
	batchBytes = 128 << 20
)

type batch struct {
	proofs []proof
	open   int
	bytes  int64
}

func (b batch) close() {
	for _, p := range b.proofs {
		p.close()
	}
}

// proofs gathers what was copied, and proves it in batches.
type proofs struct {
	c       *copier
	mu      sync.Mutex // guards next
	next    batch
	batches chan batch
}

func newProofs(c *copier) *proofs { return &proofs{c: c, batches: make(chan batch)} }

// add takes over a proof. It waits while the disk has enough to do.
func (s *proofs) add(ctx context.Context, p proof) error {
	s.mu.Lock()
	s.next.proofs = append(s.next.proofs, p)
	s.next.bytes += p.size
	s.next.open++
	if p.src >= 0 {
		s.next.open++
	}
	var full batch
	if s.next.open >= batchFiles || s.next.bytes >= batchBytes {
		full, s.next = s.next, batch{}
	}
	s.mu.Unlock()
	if len(full.proofs) == 0 {
		return nil
	}
	return s.hand(ctx, full)
}

func (s *proofs) hand(ctx context.Context, b batch) error {
	select {
	case s.batches <- b:
		return nil
	case <-ctx.Done():
		b.close()
		return context.Cause(ctx)
	}
}

// end hands over the last batch. Nobody may add any more.
func (s *proofs) end(ctx context.Context) {
	_ = s.hand(ctx, s.next) // the cause is known to who has ended ctx
	close(s.batches)
}

func (s *proofs) work(ctx context.Context, fail context.CancelCauseFunc) {
	buf := make([]byte, blockSize)
	for b := range s.batches {
		if ctx.Err() == nil {
			if err := s.prove(ctx, b, buf); err != nil {
				fail(err)
			}
		}
		b.close()
	}
}

// prove brings a batch to the disk and reads it back from there, as far as the kernel lets go of what it has in memory.
func (s *proofs) prove(ctx context.Context, b batch, buf []byte) error {
	if len(b.proofs) == 0 {
		return nil
	}
	if err := s.c.sync(); err != nil {
		return err
	}
	for _, p := range b.proofs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		same, err := s.c.reads(ctx, p, buf)
		if err != nil {
			return s.c.targetError(p.path, err)
		}
		if !same {
			return &copyError{remedy.With(fmt.Errorf("cannot trust the copy of %s: what is read back is not what was written", filepath.Join(s.c.from, p.path)),
				"check the disk that "+s.c.to+" is on (`dmesg`, `smartctl -a`), and the machine's memory")}
		}
	}
	return nil
}

// reads says whether a copy reads as it was written.
func (c *copier) reads(ctx context.Context, p proof, buf []byte) (bool, error) {
	if p.sparse {
		return c.sameContent(ctx, p.src, p.dst, p.size, buf)
	}
	if err := unix.Fadvise(p.dst, 0, 0, unix.FADV_DONTNEED); err != nil && !errors.Is(err, unix.EINVAL) {
		return false, err
	}
	sum := newSum(c.seed)
	for at := int64(0); ; {
		n, err := unix.Pread(p.dst, buf, at)
		if err != nil {
			return false, err
		}
		if n == 0 {
			return at == p.size && sum.Sum64() == p.hash, nil
		}
		_, _ = sum.Write(buf[:n])
		at += int64(n)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
}
