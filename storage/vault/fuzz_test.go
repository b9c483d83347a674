package vault

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/google/go-cmp/cmp"
)

// A key of whatever bytes is refused, or it is one that gpg can be given: it comes out of a home as it went in.
func FuzzKey(f *testing.F) {
	for _, text := range []string{newKey(f, encryptUser, 1), newKey(f, signUser, 1)} {
		data, err := unarmor(text)
		must(f, err)
		f.Add(data)
		f.Add(data[:len(data)/2])
		f.Add(append(bytes.Clone(data), data...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var text bytes.Buffer
		must(t, writeArmor(&text, openpgp.PrivateKeyType, data))
		k, err := readKey(text.String())
		_ = Keys{Encrypt: text.String(), Sign: text.String()}.Check(time.Now())
		if err != nil {
			return
		}
		if _, err := k.block.public(); err != nil {
			t.Fatal(err)
		}
		for _, p := range k.block.keys() {
			m, err := readMaterial(p)
			must(t, err)
			open := m
			open.numbers = nil
			open, err = readMaterial(packet{publicTag(p.tag), m.public})
			must(t, err)
			got, ok := open.unlockedBy(m.keyFile())
			if !ok || !bytes.Equal(got.secretBody(), m.secretBody()) {
				t.Fatalf("gpg-agent would have another secret: %x", m.keyFile())
			}
		}
		again, err := splitBlocks(k.block.bytes())
		must(t, err)
		if diff := cmp.Diff(k.block.bytes(), again[0].bytes()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What can be read as an S-expression is the same once it is written and read again.
func FuzzExpression(f *testing.F) {
	data, err := unarmor(newKey(f, encryptUser, 1))
	must(f, err)
	blocks, err := splitBlocks(data)
	must(f, err)
	for _, p := range blocks[0].keys() {
		m, err := readMaterial(p)
		must(f, err)
		f.Add(m.keyFile())
	}
	f.Add([]byte("Created: 20261128T204515\nKey: (protected-private-key (rsa (n #00BE\n D8#)(e #010001#)(protected openpgp-native (openpgp-private-key (version\n \"4\")(skey _ #00#)))))\n"))
	f.Add([]byte("(a(1:b2:cd)#6162#)\x00"))
	f.Add([]byte("(99999999999999999999:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := readKeyFile(data)
		if err != nil {
			return
		}
		again, err := readKeyFile(read.append(nil))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if diff := cmp.Diff(read.append(nil), again.append(nil)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzKeybox(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x20\x01\x01\x00\x02KBXf\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x16\x02\x01\x00\x00\x00\x00\x00\x10\x00\x00\x00\x06\x99\x00\x03abc"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		blocks, _ := readKeybox(data)
		for _, b := range blocks {
			_ = b.bytes()
		}
	})
}

// A document of whatever bytes is opened or bad, and which of both does not depend on how it comes in.
func FuzzDocument(f *testing.F) {
	found, refusals := pair(f, 1).read(time.Now())
	if len(refusals) > 0 {
		f.Fatal(refusals)
	}
	ring := &Ring{entities: openpgp.EntityList{found.encrypt.entity, found.sign.entity}, encrypt: found.encrypt.entity, sign: found.sign.entity, now: time.Now}
	var sealed, armored bytes.Buffer
	must(f, ring.Seal(f.Context(), &sealed, bytes.NewReader(bytes.Repeat([]byte("text"), 500))))
	w, err := armor.Encode(&armored, openpgp.MessageType, nil)
	must(f, err)
	_, err = w.Write(sealed.Bytes())
	must(f, err, w.Close())
	for _, seed := range [][]byte{sealed.Bytes(), armored.Bytes(), sealed.Bytes()[:300], nil, []byte("text")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, whole := ring.Open(t.Context(), io.Discard, bytes.NewReader(data))
		_, single := ring.Open(t.Context(), io.Discard, iotest.OneByteReader(bytes.NewReader(data)))
		if reasonOf(whole) != reasonOf(single) {
			t.Fatalf("%v, but byte by byte %v", whole, single)
		}
		var b *Bad
		if whole != nil && !errors.As(whole, &b) {
			t.Fatalf("%v says nothing of the document", whole)
		}
	})
}
