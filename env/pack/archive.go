package pack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"
)

// maxArchive bounds what an archive unpacks to, in bytes.
const maxArchive = 64 << 20

// archive answers a tar.gz of files.
func archive(made time.Time, files []Output) ([]byte, error) {
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	packed := tar.NewWriter(zipped)
	for _, f := range files {
		header := &tar.Header{Name: f.Name, Size: int64(len(f.Data)), Mode: 0o600, ModTime: made}
		if err := packed.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("cannot pack %s: %w", f.Name, err)
		}
		if _, err := packed.Write(f.Data); err != nil {
			return nil, fmt.Errorf("cannot pack %s: %w", f.Name, err)
		}
	}
	if err := errors.Join(packed.Close(), zipped.Close()); err != nil {
		return nil, fmt.Errorf("cannot pack the archive: %w", err)
	}
	return b.Bytes(), nil
}

// unpack answers the first of the wanted files that an archive holds, and its name. Members are looked up by their base
// name and never written anywhere.
func unpack(packed []byte, wanted ...string) (name string, data []byte, err error) {
	best := len(wanted)
	members := tar.NewReader(bytes.NewReader(packed))
	for {
		header, err := members.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return "", nil, fmt.Errorf("cannot read the archive: %w", err)
		}
		rank := slices.Index(wanted[:best], path.Base(header.Name))
		if rank < 0 || header.Typeflag != tar.TypeReg {
			continue
		}
		if data, err = readAll(members); err != nil {
			return "", nil, fmt.Errorf("cannot read %s in the archive: %w", wanted[rank], err)
		}
		best = rank
	}
	if best == len(wanted) {
		return "", nil, errors.New("the archive holds no environment")
	}
	return wanted[best], data, nil
}

func gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("cannot unpack it: %w", err)
	}
	plain, err := readAll(r)
	if err != nil {
		return nil, fmt.Errorf("cannot unpack it: %w", err)
	}
	return plain, nil
}

// readAll reads r to its end, or to the bound that is far beyond what we pack.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxArchive+1))
	if err == nil && len(data) > maxArchive {
		err = fmt.Errorf("it has more than %d MiB", maxArchive>>20)
	}
	return data, err
}
