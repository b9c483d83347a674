package source

import (
	"errors"
	"fmt"

	"appliance/internal/system"
)

// File reads one further file of the host with the same care: its owner, its size, its packing.
func File(sys *system.System, path string, limit int64) (*UserData, error) {
	s := &search{Config: Config{System: sys, Limit: limit}}
	found, err := s.hostFile("file", path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the environment: %w", err)
	}
	return found, nil
}

// IsAbsent says whether err of File means that there is no such file, or that it is empty.
func IsAbsent(err error) bool {
	var none absent
	return errors.As(err, &none)
}
