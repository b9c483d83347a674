package vault

import (
	"encoding/binary"
	"errors"
)

// readKeybox reads the OpenPGP keys of a pubring.kbx, as kbx/keybox-blob.c of GnuPG tells its form: blobs, each with its length,
// its type and, for keys, where the key lies in it. Keys that could be read come with the error.
func readKeybox(data []byte) ([]block, error) {
	const openPGP = 2 // others are the head, keys that were deleted, certificates
	var blocks []block
	var damaged error
	for len(data) > 0 {
		if len(data) < 5 {
			return blocks, errPacket
		}
		size := int64(binary.BigEndian.Uint32(data))
		if size < 5 || size > int64(len(data)) {
			return blocks, errPacket
		}
		blob := data[:size]
		data = data[size:]
		if blob[4] != openPGP {
			continue
		}
		b, err := keyOf(blob)
		if err != nil {
			damaged = err
			continue
		}
		blocks = append(blocks, b)
	}
	return blocks, damaged
}

// keyOf answers the key in a blob.
func keyOf(blob []byte) (block, error) {
	if len(blob) < 16 {
		return nil, errPacket
	}
	from, length := int64(binary.BigEndian.Uint32(blob[8:])), int64(binary.BigEndian.Uint32(blob[12:]))
	if from < 16 || from+length > int64(len(blob)) {
		return nil, errPacket
	}
	found, err := splitBlocks(blob[from : from+length])
	if err != nil || len(found) != 1 {
		return nil, errors.Join(err, errPacket)
	}
	return found[0], nil
}
