package paper

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

const (
	quietModules = 4 // the white edge that a code needs
	// pixelsPerModule keeps viewers that smooth what they enlarge from blurring the edges.
	pixelsPerModule = 4
)

// symbol draws the QR code of a text as a PNG of two colours, with its white edge. Level M repairs 15 % of a code. Larger
// modules help a scanner more than the next level would, which costs a quarter of the room. modules is how many lie along
// a side.
func symbol(text string) (picture []byte, modules int, err error) {
	code, err := encoder.Encoder_encodeWithoutHint(text, decoder.ErrorCorrectionLevel_M)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot draw a QR code: %v", err)
	}
	dark := code.GetMatrix()
	modules = dark.GetWidth() + 2*quietModules
	side := modules * pixelsPerModule
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.Black, color.White}) // as a grey of one bit would be
	for y := range side {
		for x := range side {
			mx, my := x/pixelsPerModule-quietModules, y/pixelsPerModule-quietModules
			if mx < 0 || my < 0 || mx >= dark.GetWidth() || my >= dark.GetHeight() || dark.Get(mx, my) == 0 {
				img.Pix[y*img.Stride+x] = 1
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, 0, fmt.Errorf("cannot draw a QR code: %w", err)
	}
	return b.Bytes(), modules, nil
}
