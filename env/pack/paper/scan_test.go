package paper

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestPicturesOfThePages(t *testing.T) {
	document := noise(7000) // one page of codes
	dir := desk(t, document)
	for _, tt := range []struct{ name, how, files string }{
		{"every page", "-r 120 -png", "page-*.png"},
		{"two colours", "-r 200 -mono -tiff -f 2 -l 2", "page-*.tif"},
		{"TIFF", "-r 150 -tiff -f 2 -l 2", "page-*.tif"},
		{"JPEG", "-r 200 -jpeg -f 2 -l 2", "page-*.jpg"},
		{"very fine", "-r 400 -gray -jpeg -f 2 -l 2", "page-*.jpg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			scans := t.TempDir()
			run(t, scans, "pdftoppm", append(strings.Fields(tt.how), filepath.Join(dir, "env.pdf"), "page")...)
			var r Reader
			for _, name := range shuffled(append(files(t, scans, tt.files), files(t, scans, tt.files)...)) { // a page may come twice
				add(t, &r, name, get(t, "", name))
			}
			comesBack(t, &r, document)
		})
	}
}

// worn is how a page may look when it comes back from the safe.
type worn struct {
	degrees float64 // turned by
	dots    float64 // standard deviation of what a scanner adds to the brightness, of 255
	pale    float64 // how much of the contrast is lost, of 1
	quality int     // of the JPEG
}

func TestScansOfWornPages(t *testing.T) {
	document := noise(7000)
	dir := desk(t, document)
	run(t, dir, "pdftoppm", "-r", "200", "-gray", "-png", "-f", "2", "-l", "2", "env.pdf", "page")
	file, err := os.Open(files(t, dir, "page-*.png")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []worn{
		{1.5, 15, .3, 60}, {180, 0, .5, 60}, {181.5, 20, .2, 60}, {-88, 15, .3, 75},
	} {
		t.Run(fmt.Sprintf("%+v", w), func(t *testing.T) {
			t.Parallel()
			var r Reader
			add(t, &r, "scan.jpg", w.scan(t, toGrey(page)))
			comesBack(t, &r, document)
		})
	}
}

// scan answers the page as a square JPEG, so that a page that lies across is on it as well.
func (w worn) scan(t *testing.T, page grey) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(4, 4))
	side := max(page.width, page.height)
	scanned := image.NewGray(image.Rect(0, 0, side, side))
	sin, cos := math.Sincos(w.degrees * math.Pi / 180)
	for y := range side {
		for x := range side {
			dx, dy := float64(x-side/2), float64(y-side/2)
			light := page.at(cos*dx+sin*dy+float64(page.width)/2, cos*dy-sin*dx+float64(page.height)/2)
			light = 127 + (light-127)*(1-w.pale) + random.NormFloat64()*w.dots
			scanned.Pix[y*scanned.Stride+x] = byte(max(0, min(255, light)))
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, scanned, &jpeg.Options{Quality: w.quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// at is the brightness between pixels.
func (g grey) at(x, y float64) float64 {
	pixel := func(x, y int) float64 {
		if x < 0 || y < 0 || x >= g.width || y >= g.height {
			return 255
		}
		return float64(g.pixels[y*g.width+x])
	}
	left, above := math.Floor(x), math.Floor(y)
	x, y = x-left, y-above
	i, j := int(left), int(above)
	return (pixel(i, j)*(1-x)+pixel(i+1, j)*x)*(1-y) + (pixel(i, j+1)*(1-x)+pixel(i+1, j+1)*x)*y
}

func TestScannedPDFs(t *testing.T) {
	document := noise(8000) // two pages of codes
	dir := desk(t, document)
	for name, args := range map[string]string{
		"photo": "-r 150 -jpeg", "colour": "-r 150 -png", "grey": "-r 150 -gray", "fax": "-r 150 -mono -tiff",
	} {
		run(t, dir, "pdftoppm", append(strings.Fields(args), "-f", "2", "-l", "3", "env.pdf", name)...)
		run(t, dir, "img2pdf", append(files(t, dir, name+"-[0-9].*"), "-o", name+".pdf")...)
	}
	run(t, dir, "qpdf", "--stream-data=uncompress", "--decode-level=specialized", "colour.pdf", "plain.pdf")
	run(t, dir, "qpdf", "--stream-data=uncompress", "--decode-level=specialized", "grey.pdf", "plain-grey.pdf")
	run(t, dir, "qpdf", "--object-streams=generate", "plain.pdf", "deflated.pdf")
	run(t, dir, "qpdf", "--remove-attachment=Attachement1", "env.pdf", "ours.pdf")
	for name, holds := range map[string]string{
		"photo": "DCTDecode", "colour": "Predictor 15", "grey": "Predictor 15", "fax": "CCITTFaxDecode",
		"plain": "/DeviceRGB", "plain-grey": "/DeviceGray", "deflated": "FlateDecode", "ours": "Predictor 15",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pdf := get(t, dir, name+".pdf")
			if attached := regexp.MustCompile(`/EmbeddedFile\b`); attached.Match(pdf) || !bytes.Contains(pdf, []byte(holds)) {
				t.Fatalf("the document is attached, or the PDF does not hold %q", holds)
			}
			if strings.HasPrefix(name, "plain") && bytes.Contains(pdf, []byte("/Filter")) {
				t.Fatal("the pictures are packed")
			}
			var r Reader
			add(t, &r, name+".pdf", pdf)
			comesBack(t, &r, document)
		})
	}
}
