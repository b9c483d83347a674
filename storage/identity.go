package storage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// IDPath names the file system that /data is, so that another one in its place, or an empty directory because it was
// not mounted, can be told from it.
const IDPath = "/data/.appliance-id"

// ID returns the name of what is at /data; "" is none yet.
func (l Layout) ID() (string, error) {
	data, err := l.System.ReadFile(IDPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot tell what is at /data: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func (l Layout) makeID() error {
	if id, err := l.ID(); id != "" || err != nil {
		return err
	}
	return l.System.WriteFile(IDPath, []byte(rand.Text()+"\n"), 0o644)
}
