package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// prove opens a message that is sealed with the keys of the environment by what has been written to the home at dir of the file system.
func prove(ctx context.Context, dir string, found keys, now func() time.Time) error {
	written, err := readContents(dir)
	if err != nil {
		return err
	}
	if err := written.agree(found); err != nil {
		return fmt.Errorf("cannot use the new keys of the storage vault: %w", err)
	}
	if found.over {
		return nil // nothing can be sealed with them
	}
	ring := newRing(written, now)
	wanted := &Ring{entities: openpgp.EntityList{found.encrypt.entity, found.sign.entity}, encrypt: found.encrypt.entity, sign: found.sign.entity, now: now}
	message, sealed, opened := []byte(rand.Text()), new(bytes.Buffer), new(bytes.Buffer)
	if err := wanted.Seal(ctx, sealed, bytes.NewReader(message)); err != nil {
		return fmt.Errorf("cannot seal a test message with the keys of the environment: %w", err)
	}
	if _, err := ring.Open(ctx, opened, sealed); err != nil {
		return fmt.Errorf("cannot open a test message with the new keys of the storage vault: %w", err)
	}
	if !bytes.Equal(message, opened.Bytes()) {
		return errors.New("cannot use the new keys of the storage vault: they open another message")
	}
	return nil
}

// agree fails unless gpg 1.4 and gpg 2 find the same secrets in a home, those of the environment.
func (c contents) agree(found keys) error {
	if len(c.damaged) > 0 {
		return fmt.Errorf("%s was not written as it should be", c.damaged[0])
	}
	for _, k := range found.all() {
		i, j := indexOf(c.public, k.block), indexOf(c.secret, k.block)
		if i < 0 || j < 0 || !k.block.within(c.secret[j]) {
			return fmt.Errorf("key %s was not written as it should be", k.Fingerprint)
		}
		for _, p := range k.block.keys() {
			want, err := readMaterial(p)
			if err != nil {
				return err
			}
			got, ok := want.unlockedBy(c.keyFiles[want.grip()])
			if !ok || !bytes.Equal(got.secretBody(), want.secretBody()) {
				return fmt.Errorf("%s was not written as it should be", keyFileName(want))
			}
		}
	}
	return nil
}
