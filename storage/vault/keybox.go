package vault

import (
	"encoding/binary"
	"errors"
)

// readKeybox reads the OpenPGP keys of a pubring.kbx, as kbx/keybox-blob.c of GnuPG tells its form: blobs, each with its length,
// its type and, for keys, where the key lies in it. Keys that could be read come with the error.
func readKeybox(data []byte) ([]block, error) {
	const (
		header  = 1 // type of the first blob
		openPGP = 2
		deleted = 0
	)
	var blocks []block
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
		if kind := blob[4]; kind == header || kind == deleted || kind != openPGP {
			continue
		}
		if len(blob) < 16 {
			return blocks, errPacket
		}
		from, length := int64(binary.BigEndian.Uint32(blob[8:])), int64(binary.BigEndian.Uint32(blob[12:]))
		if from < 16 || from+length > size {
			return blocks, errPacket
		}
		found, err := splitBlocks(blob[from : from+length])
		if err != nil || len(found) != 1 {
			return blocks, errors.Join(err, errPacket)
		}
		blocks = append(blocks, found[0])
	}
	return blocks, nil
}
