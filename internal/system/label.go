package system

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Labelled lists the devices with a file system of that label. It asks blkid, which probes every device; udev's links may be
// missing or old. Where blkid cannot be started, they are all there is.
func (s *System) Labelled(ctx context.Context, label string) ([]string, error) {
	out, err := s.Query(ctx, "blkid", "-c", "/dev/null", "-o", "device", "-t", "LABEL="+label)
	if err == nil {
		return strings.Fields(out), nil
	}
	const none = 2 // blkid's way to say that no device has the label
	var ended interface{ ExitCode() int }
	switch {
	case errors.As(err, &ended) && ended.ExitCode() == none:
		return nil, nil
	case errors.As(err, &ended):
		return nil, fmt.Errorf("cannot look for a file system labelled %s: %w", label, err)
	}
	link := "/dev/disk/by-label/" + label
	if !s.Exists(link) {
		return nil, nil
	}
	return []string{s.Path(link)}, nil
}
