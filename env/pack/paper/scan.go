package paper

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/ccitt"
)

const (
	flate     = "FlateDecode"
	maxSealed = maxCodes*perCode + 4096 // bytes of a compressed document, with room to spare
	pngFilter = 10                      // predictors from here on are those of PNG
)

// picture decodes a stream that is an image: as a camera or scanner stores it (JPEG), as a fax (1 bit, CCITT group 4), or
// plain, of 1 or 8 bits, grey or RGB.
func (s stream) picture() (grey, error) {
	width, height := s.number("Width"), s.number("Height")
	if err := checkSize(width, height); err != nil {
		return grey{}, err
	}
	filters, data := s.filters(), s.data
	if len(filters) == 2 && filters[0] == flate {
		var err error
		if data, err = inflate(data, 4*width*height); err != nil {
			return grey{}, err
		}
		filters = filters[1:]
	}
	switch strings.Join(filters, "+") {
	case "DCTDecode":
		if config, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil && (config.Width > width || config.Height > height) {
			return grey{}, errEncoding("a JPEG larger than the PDF says")
		}
		img, ok, err := decode(data)
		if err != nil {
			return grey{}, err
		}
		if !ok {
			return grey{}, errEncoding("a damaged JPEG")
		}
		return toGrey(img), nil
	case "CCITTFaxDecode":
		return s.fax(data, width, height)
	case flate:
		if s.number("Predictor") >= pngFilter {
			return s.filtered(data, width, height)
		}
		raster, err := inflate(data, 4*width*height)
		if err != nil {
			return grey{}, err
		}
		return s.plain(raster, width, height)
	case "":
		return s.plain(data, width, height)
	default:
		return grey{}, errEncoding(strings.Join(filters, "+"))
	}
}

// inflate bounds what comes out to limit bytes; what is more is cut off.
func inflate(data []byte, limit int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, errEncoding("an encrypted or damaged stream")
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(limit)))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, zlib.ErrChecksum) { // a picture may be cut short
		return nil, errEncoding("an encrypted or damaged stream")
	}
	return plain, nil
}

// plain is a raster without more ado. How many bytes a pixel has is told by its size, since the colour space may stand
// elsewhere.
func (s stream) plain(raster []byte, width, height int) (grey, error) {
	pixels := width * height
	switch bits := s.number("BitsPerComponent"); {
	case bits == 1 && len(raster) >= (width+7)/8*height:
		return s.bilevel(raster, width, height), nil
	case bits == 8 && len(raster) >= 3*pixels && len(raster) < 4*pixels:
		g := grey{make([]byte, pixels), width, height}
		for i := range g.pixels {
			g.pixels[i] = byte((int(raster[3*i]) + 2*int(raster[3*i+1]) + int(raster[3*i+2])) / 4)
		}
		return g, nil
	case bits == 8 && len(raster) >= pixels && len(raster) < 2*pixels:
		return grey{raster[:pixels], width, height}, nil
	default:
		return grey{}, errEncoding(fmt.Sprintf("%d bytes of %d bits", len(raster), bits))
	}
}

// bilevel unpacks a raster of bits, of which 1 is white unless the dictionary turns that round.
func (s stream) bilevel(raster []byte, width, height int) grey {
	g := grey{make([]byte, width*height), width, height}
	stride := (width + 7) / 8
	var white byte = 1
	if strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(s.value("Decode"), "["), " "), "1") {
		white = 0
	}
	for y := range height {
		for x := range width {
			if raster[y*stride+x/8]>>(7-x%8)&1 == white {
				g.pixels[y*width+x] = 0xff
			}
		}
	}
	return g
}

func (s stream) fax(data []byte, width, height int) (grey, error) {
	if !strings.HasPrefix(s.value("K"), "-1") {
		return grey{}, errEncoding("a fax of group 3")
	}
	options := &ccitt.Options{Invert: strings.HasPrefix(s.value("BlackIs1"), "true")}
	raster, err := io.ReadAll(ccitt.NewReader(bytes.NewReader(data), ccitt.MSB, ccitt.Group4, width, height, options))
	if err != nil || len(raster) < (width+7)/8*height {
		return grey{}, errEncoding("a damaged fax")
	}
	return s.bilevel(raster, width, height), nil
}

// filtered is a raster whose lines were prepared as PNG does: with a head and a tail it is one.
func (s stream) filtered(data []byte, width, height int) (grey, error) {
	colours, ok := map[int]byte{0: 0, 1: 0, 3: 2}[s.number("Colors")]
	if !ok {
		return grey{}, errEncoding("colours for a printer")
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(width))
	head = binary.BigEndian.AppendUint32(head, uint32(height))
	head = append(head, byte(s.number("BitsPerComponent")), colours, 0, 0, 0)
	file := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", head)...)
	file = append(append(file, chunk("IDAT", data)...), chunk("IEND", nil)...)
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return grey{}, errEncoding("a damaged or unusual raster")
	}
	return toGrey(img), nil
}

func chunk(name string, data []byte) []byte {
	c := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	c = append(append(c, name...), data...)
	return binary.BigEndian.AppendUint32(c, crc32.ChecksumIEEE(c[4:]))
}
