package vault

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgp "github.com/ProtonMail/go-crypto/openpgp/errors"
	pgppacket "github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"appliance/internal/remedy"
)

const bufferSize = 64 << 10

// Seal signs and encrypts what src has, as the application does with gpg --sign --encrypt. What is written counts only once the
// error is nil.
func (r *Ring) Seal(ctx context.Context, dst io.Writer, src io.Reader) error {
	now := r.now()
	for _, e := range []*openpgp.Entity{r.encrypt, r.sign} {
		if now.Before(e.PrimaryKey.CreationTime) { // the clock has lost the time, and a key is none the worse for it
			now = e.PrimaryKey.CreationTime
		}
	}
	config := at(now)
	config.DefaultCipher, config.DefaultHash = pgppacket.CipherAES256, crypto.SHA256
	buffered := bufio.NewWriterSize(dst, bufferSize)
	w, err := openpgp.Encrypt(buffered, []*openpgp.Entity{r.encrypt}, nil, []*openpgp.Entity{r.sign}, nil, config)
	if err != nil {
		return remedy.With(fmt.Errorf("cannot seal it: %w", err), "see `appliance vault status`")
	}
	if _, err = io.CopyBuffer(w, reading{ctx, src}, make([]byte, bufferSize)); err == nil {
		err = w.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return fmt.Errorf("cannot seal it: %w", err)
	}
	return nil
}

// reading ends with its context.
type reading struct {
	ctx context.Context
	io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// Opened tells of a document that was opened.
type Opened struct {
	Bytes     int64     // of the document
	Signer    string    // fingerprint of the key that has signed it
	Signed    time.Time // when
	Recipient string    // fingerprint of the key that has opened it
}

// Reason is what is wrong with a sealed document.
type Reason string

// What can be wrong with a document.
const (
	NoMessage     Reason = "no message"     // it is not encrypted with OpenPGP
	Truncated     Reason = "truncated"      // its end is missing
	Tampered      Reason = "tampered"       // it was altered, or is damaged
	UnknownKey    Reason = "unknown key"    // it is sealed to a key that is not here
	Unsigned      Reason = "unsigned"       // it has no signature
	WrongSigner   Reason = "wrong signer"   // signed by a key that is not to sign documents
	UnknownSigner Reason = "unknown signer" // signed by a key that is not here
	Unreadable    Reason = "unreadable"     // the file cannot be read
)

// Bad is the error of a document that is not as it was sealed.
type Bad struct {
	Reason Reason
	Detail string
}

func (b *Bad) Error() string { return string(b.Reason) + ": " + b.Detail }

func bad(reason Reason, format string, args ...any) error {
	return &Bad{reason, fmt.Sprintf(format, args...)}
}

// Open decrypts what src has and checks the signature, as the application does with gpg --decrypt. What is written to dst is to be
// believed only once the error is nil; *Bad is one that tells of the document.
func (r *Ring) Open(ctx context.Context, dst io.Writer, src io.Reader) (Opened, error) {
	source := &source{from: reading{ctx, src}}
	input := bufio.NewReaderSize(source, bufferSize)
	f := &frame{from: input}
	if head, _ := input.Peek(64); bytes.HasPrefix(bytes.TrimSpace(head), []byte("-----BEGIN PGP MESSAGE")) {
		if start, _ := input.Peek(bufferSize); !headed(start) {
			return Opened{}, source.blame(bad(NoMessage, "its ASCII armor is broken: its head has no end"))
		}
		block, err := armor.Decode(input)
		if err != nil {
			return Opened{}, source.blame(bad(NoMessage, "its ASCII armor is broken: %v", err))
		}
		f.from = block.Body
	}
	message, err := openpgp.ReadMessage(f, r.entities, nil, r.lenient())
	if err != nil {
		return Opened{}, source.blame(r.explain(f, err))
	}
	if !message.IsEncrypted {
		return Opened{}, bad(NoMessage, "it is not encrypted")
	}
	if err := expected(message); err != nil { // nothing of it is given out, and a bomb is not unpacked
		return Opened{}, source.blame(err)
	}
	out := &sink{to: dst}
	n, err := io.CopyBuffer(out, message.UnverifiedBody, make([]byte, bufferSize))
	switch {
	case out.err != nil:
		return Opened{}, fmt.Errorf("cannot write what was opened: %w", out.err)
	case err != nil:
		return Opened{}, source.blame(r.explain(f, err))
	}
	_, _ = io.Copy(io.Discard, f) // whether something follows
	f.extra = f.extra || !over(input)
	if source.err != nil || f.cut || f.extra || f.alien {
		return Opened{}, source.blame(r.explain(f, errors.New("it goes on after its end")))
	}
	return r.judge(message, n)
}

// headed says whether the head of an armor ends, by an empty line, in what it starts with: the library keeps all of it.
func headed(start []byte) bool {
	for line := range bytes.Lines(bytes.TrimLeft(start, whitespace)) {
		if len(bytes.TrimSpace(line)) == 0 {
			return true
		}
	}
	return false
}

// over says whether nothing is left, but the end of an armor.
func over(r *bufio.Reader) bool {
	const end = "-----END PGP MESSAGE-----"
	if blank(r) {
		return true
	}
	line, _ := r.Peek(len(end))
	n, _ := r.Discard(len(line))
	return n == len(end) && string(line) == end && blank(r)
}

// blank passes white space, and says whether nothing follows.
func blank(r io.ByteScanner) bool {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return true
		}
		if strings.IndexByte(whitespace, b) < 0 {
			_ = r.UnreadByte()
			return false
		}
	}
}

// source remembers that reading has failed, which says nothing of the document.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *source) blame(err error) error {
	if s.err != nil {
		return fmt.Errorf("cannot read it: %w", s.err)
	}
	return err
}

type sink struct {
	to  io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	s.err = err
	return n, err
}

// lenient is what old documents need: keys and digests that nothing new is made with. MD5 stays refused.
func (r *Ring) lenient() *pgppacket.Config {
	const oldest = 1023 // bits of RSA, as gpg made it in the last century
	config := at(r.now())
	config.MinRSABits = oldest
	config.RejectPublicKeyAlgorithms = map[pgppacket.PublicKeyAlgorithm]bool{}
	config.RejectMessageHashAlgorithms = map[crypto.Hash]bool{crypto.MD5: true}
	return config
}

// explain says what an error of the library means for the document.
func (r *Ring) explain(f *frame, err error) error {
	switch {
	case f.alien && len(f.recipients) == 0:
		return bad(NoMessage, "it is not encrypted with OpenPGP")
	case f.cut && f.tag == 0:
		return bad(Truncated, "it is empty")
	case f.cut:
		return bad(Truncated, "its end is missing")
	case f.extra:
		return bad(Tampered, "something follows after its end")
	case errors.Is(err, pgp.ErrKeyIncorrect) && !r.has(f.recipients):
		return bad(UnknownKey, "it is sealed to key %s, which is not here", strings.Join(f.recipients, ", "))
	case errors.Is(err, pgp.ErrKeyIncorrect):
		return bad(Tampered, "its session key cannot be decrypted")
	}
	return bad(Tampered, "%v", err)
}

// has says whether the secret of one of the keys, or of its subkeys, is here.
func (r *Ring) has(ids []string) bool {
	for _, e := range r.entities {
		parts := []*pgppacket.PrivateKey{e.PrivateKey}
		for _, sub := range e.Subkeys {
			parts = append(parts, sub.PrivateKey)
		}
		for _, part := range parts {
			for _, id := range ids {
				if part != nil && fmt.Sprintf("%016X", part.KeyId) == id {
					return true
				}
			}
		}
	}
	return false
}
