package paper

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // what image.Decode understands
	_ "image/png"
	"iter"

	_ "golang.org/x/image/tiff"

	"appliance/internal/remedy"
)

const (
	// maxPixels of one picture: an A4 page at 600 dpi has 35 million.
	maxPixels = 48_000_000
	// sharpEnough is how many pixels a longer side needs at most, 300 dpi on A4; finer pictures are first looked at
	// at half the size, where the grain of the paper is gone.
	sharpEnough = 3600
	// maxScans bounds the layers of a JPEG: each goes over the whole picture, however few bytes it has. Ten are usual.
	maxScans = 50
	// smallest is the shorter side of a picture that can hold a code: 21 modules of 2 pixels.
	smallest = 42
)

// errTooLarge is the answer to a picture that is not even looked at.
var errTooLarge = errors.New("its picture is too large")

// decode reads a picture of a form that image knows; ok is false for what is none.
func decode(data []byte) (img image.Image, ok bool, err error) {
	config, kind, err := image.DecodeConfig(bytes.NewReader(data))
	if errors.Is(err, image.ErrFormat) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, fmt.Errorf("its picture is damaged: %w", err)
	}
	if err := checkSize(config.Width, config.Height); err != nil {
		return nil, true, err
	}
	if kind == "jpeg" && bytes.Count(data, []byte{0xff, 0xda}) > maxScans {
		return nil, true, remedy.With(errors.New("its picture is made of too many layers"), "scan the page with 300 dpi")
	}
	img, _, err = image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, true, fmt.Errorf("its picture is damaged: %w", err)
	}
	return img, true, nil
}

func checkSize(width, height int) error {
	if width < 1 || height < 1 || width > maxPixels/height {
		return remedy.With(fmt.Errorf("%w: %d x %d pixels", errTooLarge, width, height), "scan the page with 300 dpi")
	}
	return nil
}

// grey is the brightness of a picture, a byte a pixel.
type grey struct {
	pixels        []byte
	width, height int
}

// toGrey takes transparent for white, as paper is.
func toGrey(img image.Image) grey {
	b := img.Bounds()
	g := grey{make([]byte, b.Dx()*b.Dy()), b.Dx(), b.Dy()}
	for y := range g.height {
		row := g.pixels[y*g.width:][:g.width]
		switch img := img.(type) {
		case *image.Gray:
			copy(row, img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):])
		case *image.YCbCr:
			copy(row, img.Y[img.YOffset(b.Min.X, b.Min.Y+y):])
		case image.RGBA64Image:
			for x := range row {
				row[x] = brightness(img.RGBA64At(b.Min.X+x, b.Min.Y+y))
			}
		default:
			for x := range row {
				r, gr, bl, a := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
				row[x] = brightness(color.RGBA64{R: uint16(r), G: uint16(gr), B: uint16(bl), A: uint16(a)})
			}
		}
	}
	return g
}

func brightness(c color.RGBA64) byte {
	return byte(((uint32(c.R)+2*uint32(c.G)+uint32(c.B))/4 + 0xffff - uint32(c.A)) >> 8)
}

// views are the ways in which a picture is looked at, the most promising first.
func (g grey) views() iter.Seq[grey] {
	return func(yield func(grey) bool) {
		if max(g.width, g.height) > sharpEnough && min(g.width, g.height) >= 2*smallest && !yield(g.half()) {
			return
		}
		_ = yield(g) && yield(g.smooth())
	}
}

// half is the picture at half the size.
func (g grey) half() grey {
	h := grey{make([]byte, (g.width/2)*(g.height/2)), g.width / 2, g.height / 2}
	for y := range h.height {
		upper, lower := g.pixels[2*y*g.width:], g.pixels[(2*y+1)*g.width:]
		for x := range h.width {
			h.pixels[y*h.width+x] = byte((int(upper[2*x]) + int(upper[2*x+1]) + int(lower[2*x]) + int(lower[2*x+1])) / 4)
		}
	}
	return h
}

// smooth averages every pixel with its neighbours, which takes out noise and the dots of a printer.
func (g grey) smooth() grey {
	s := grey{make([]byte, len(g.pixels)), g.width, g.height}
	copy(s.pixels, g.pixels)
	for y := 1; y < g.height-1; y++ {
		for x := 1; x < g.width-1; x++ {
			at := y*g.width + x
			sum := 4 * int(g.pixels[at])
			for _, next := range [...]int{at - g.width, at - 1, at + 1, at + g.width} {
				sum += 2 * int(g.pixels[next])
			}
			for _, next := range [...]int{at - g.width - 1, at - g.width + 1, at + g.width - 1, at + g.width + 1} {
				sum += int(g.pixels[next])
			}
			s.pixels[at] = byte(sum / 16)
		}
	}
	return s
}
