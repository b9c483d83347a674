package vault

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Packet types of RFC 4880 section 4.3 that key rings hold.
const (
	tagSignature    = 2
	tagSecretKey    = 5
	tagPublicKey    = 6
	tagSecretSubkey = 7
	tagTrust        = 12 // what gpg 1.4 has found out about the packet before; local to its ring
	tagUserID       = 13
	tagPublicSubkey = 14
)

// packet is one OpenPGP packet of a key ring.
type packet struct {
	tag  byte
	body []byte
}

var errPacket = errors.New("it is cut off or damaged")

// splitPackets reads the packets of a key ring, each of a known length, as those of keys are. What could be read comes with the error.
func splitPackets(data []byte) ([]packet, error) {
	var packets []packet
	for len(data) > 0 {
		tag, head, length, ok := packetHead(data)
		if !ok || length > len(data)-head {
			return packets, errPacket
		}
		packets = append(packets, packet{tag, data[head : head+length : head+length]})
		data = data[head+length:]
	}
	return packets, nil
}

// packetHead reads a packet's type and length, of either format (RFC 4880 section 4.2).
func packetHead(data []byte) (tag byte, head, length int, ok bool) {
	if data[0]&0x80 == 0 {
		return 0, 0, 0, false
	}
	if data[0]&0x40 == 0 { // the old format: the length has one, two or four bytes
		size := 1 << (data[0] & 3)
		if size > 4 || len(data) < 1+size {
			return 0, 0, 0, false
		}
		for _, b := range data[1 : 1+size] {
			length = length<<8 | int(b)
		}
		return data[0] >> 2 & 15, 1 + size, length, true
	}
	tag = data[0] & 0x3f
	switch {
	case len(data) >= 2 && data[1] < 192:
		return tag, 2, int(data[1]), true
	case len(data) >= 3 && data[1] < 224:
		return tag, 3, int(data[1]-192)<<8 + int(data[2]) + 192, true
	case len(data) >= 6 && data[1] == 255:
		return tag, 6, int(binary.BigEndian.Uint32(data[2:])), true
	}
	return 0, 0, 0, false // of partial lengths, which keys do not have
}

// append writes the packet in the old format, which every gpg reads.
func (p packet) append(to []byte) []byte {
	const old = 0x80
	if p.tag > 15 { // the old format cannot say it
		to = append(to, 0xc0|p.tag, 255)
		to = binary.BigEndian.AppendUint32(to, uint32(len(p.body)))
		return append(to, p.body...)
	}
	switch n := len(p.body); {
	case n < 1<<8:
		to = append(to, old|p.tag<<2, byte(n))
	case n < 1<<16:
		to = binary.BigEndian.AppendUint16(append(to, old|p.tag<<2|1), uint16(n))
	default:
		to = binary.BigEndian.AppendUint32(append(to, old|p.tag<<2|2), uint32(n))
	}
	return append(to, p.body...)
}

// block is a key with all that belongs to it: user IDs, subkeys, signatures.
type block []packet

// splitBlocks reads the keys of a ring. Those that could be read come with the error.
func splitBlocks(data []byte) ([]block, error) {
	packets, err := splitPackets(data)
	var blocks []block
	for i, p := range packets {
		switch {
		case p.tag == tagPublicKey || p.tag == tagSecretKey:
			blocks = append(blocks, packets[i:i+1:i+1])
		case len(blocks) > 0:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], p)
		default:
			err = errors.Join(err, errors.New("it does not begin with a key"))
		}
	}
	return blocks, err
}

func (b block) bytes() []byte {
	var data []byte
	for _, p := range b {
		data = p.append(data)
	}
	return data
}

// public is the block without its secrets, and without what a ring has noted for itself.
func (b block) public() (block, error) {
	open := make(block, 0, len(b))
	for _, p := range b {
		switch p.tag {
		case tagTrust:
			continue
		case tagSecretKey, tagSecretSubkey:
			m, err := readMaterial(p)
			if err != nil {
				return nil, err
			}
			p = packet{publicTag(p.tag), m.public}
		}
		open = append(open, p)
	}
	return open, nil
}

func publicTag(tag byte) byte {
	if tag == tagSecretKey {
		return tagPublicKey
	}
	return tagPublicSubkey
}

// userIDs lists the user IDs as they are written.
func (b block) userIDs() (ids []string) {
	for _, p := range b {
		if p.tag == tagUserID {
			ids = append(ids, string(p.body))
		}
	}
	return ids
}

// keys are the packets of the primary key and its subkeys, public or secret.
func (b block) keys() (keys []packet) {
	for _, p := range b {
		if slices.Contains([]byte{tagPublicKey, tagSecretKey, tagPublicSubkey, tagSecretSubkey}, p.tag) {
			keys = append(keys, p)
		}
	}
	return keys
}
