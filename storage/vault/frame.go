package vault

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Packet types of messages.
const (
	tagSessionKey    = 1  // for a public key
	tagPassphrase    = 3  // a session key for a passphrase
	tagUnprotected   = 9  // data that gpg before 1.0.2 has encrypted
	tagMarker        = 10 // says nothing
	tagProtected     = 18 // encrypted data
	tagAuthenticated = 20 // encrypted data, as gpg 2.3 and later may write it
)

// frame hands an encrypted message on as it is, and finds out on the way whether it is there as a whole: what the library says of a
// message that is cut off does not differ from what it says of one that was altered.
type frame struct {
	from      io.Reader
	header    []byte // of a packet, as far as it has been read
	left      int64  // bytes of the packet or part
	partial   bool   // another part follows
	unbounded bool   // to the end of the input
	tag       byte

	recipients []string // numbers of keys
	recipient  []byte
	ended      bool // the encrypted data is there to its end
	cut        bool // the input has ended before that
	extra      bool // the input goes on after that
	alien      bool // it is not made of packets
}

func (f *frame) Read(p []byte) (int, error) {
	if f.alien || f.extra {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := f.from.Read(p)
	f.follow(p[:n])
	if err == io.EOF && !f.unbounded && (f.left > 0 || f.partial || len(f.header) > 0 || !f.ended) {
		f.cut = true
	}
	return n, err
}

func (f *frame) follow(data []byte) {
	for len(data) > 0 && !f.alien {
		if f.unbounded {
			return
		}
		if f.left > 0 {
			n := min(f.left, int64(len(data)))
			f.note(data[:n])
			f.left -= n
			data = data[n:]
			continue
		}
		if f.ended && !f.partial {
			f.extra = true
			return
		}
		f.header = append(f.header, data[0])
		data = data[1:]
		f.begin()
	}
}

// note keeps the beginning of a session key, which says whom it is for.
func (f *frame) note(body []byte) {
	const length = 9 // the version and the key's number
	if f.tag != tagSessionKey || len(f.recipient) >= length {
		return
	}
	if f.recipient = append(f.recipient, body[:min(len(body), length-len(f.recipient))]...); len(f.recipient) == length {
		if id := fmt.Sprintf("%016X", f.recipient[1:]); !slices.Contains(f.recipients, id) && len(f.recipients) < 8 {
			f.recipients = append(f.recipients, id)
		}
	}
}

// begin starts a packet or part once its header is whole.
func (f *frame) begin() {
	h := f.header
	if f.partial {
		h = append([]byte{0xc0 | f.tag}, h...)
	}
	switch {
	case h[0]&0x80 == 0:
		f.alien = true
		return
	case h[0]&0xc3 == 0x83: // the old format, to the end of the input
		f.tag, f.unbounded, f.ended = h[0]>>2&15, true, true
		return
	case h[0]&0xc0 == 0xc0 && len(h) >= 2 && h[1] >= 224 && h[1] < 255:
		f.tag, f.left, f.partial = h[0]&0x3f, 1<<(h[1]&0x1f), true
	default:
		if len(h) < headLength(h) {
			return
		}
		tag, _, length, _ := packetHead(h)
		f.tag, f.left, f.partial = tag, int64(length), false
		f.ended = tag == tagProtected || tag == tagAuthenticated || tag == tagUnprotected
	}
	f.header, f.recipient = f.header[:0], nil
	if !slices.Contains([]byte{tagSessionKey, tagPassphrase, tagMarker, tagUnprotected, tagProtected, tagAuthenticated}, f.tag) {
		f.alien = true
	}
}

// headLength is how long the header is that begins so, at least.
func headLength(h []byte) int {
	if h[0]&0x40 == 0 {
		return 1 + 1<<(h[0]&3)
	}
	switch {
	case len(h) < 2:
		return 2
	case h[1] < 192:
		return 2
	case h[1] < 224:
		return 3
	}
	return 1 + 1 + binary.Size(uint32(0))
}
