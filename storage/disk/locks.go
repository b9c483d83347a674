package disk

import (
	"context"
	"strings"

	"appliance/env"
	"appliance/internal/system"
)

// Lock is an encrypted volume of the environment.
type Lock struct {
	Name   string `json:"name"`   // when it is open: /dev/mapper/Name
	Device string `json:"device"` // as the environment names it
	State  string `json:"state"`  // LockOpen, LockLocked or LockMissing
}

// States of a Lock.
const (
	LockOpen    = "open"
	LockLocked  = "locked"
	LockMissing = "missing" // there is no such device, or it is not encrypted yet
)

// Locks tells of every encrypted volume that is wanted whether it is open. It changes nothing.
func Locks(ctx context.Context, sys *system.System, wanted env.Volumes) ([]Lock, error) {
	if len(wanted.Crypts) == 0 {
		return nil, nil
	}
	sys = sys.Plain()
	h, err := look(ctx, sys, wanted)
	if err != nil {
		return nil, err
	}
	var list []Lock
	for _, c := range wanted.Crypts {
		lock := Lock{Name: c.Target, Device: c.Device, State: LockMissing}
		if d := h.find(c.Device); d != nil {
			if has, err := contentOf(ctx, sys, d); err != nil {
				return nil, err
			} else if has.kind == "crypto_LUKS" {
				lock.State = LockLocked
			}
			for _, child := range d.children {
				if strings.EqualFold(h.devices[child].kind, "crypt") {
					lock.State = LockOpen
				}
			}
		}
		list = append(list, lock)
	}
	return list, nil
}
