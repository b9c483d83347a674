package paper

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/common"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// The library's own search for several codes takes any three finder patterns that could belong together, guesses the size
// of the code from a few pixels and reads what it then sees. On a page full of large codes most of that is wrong. So we
// use its parts: it finds the patterns and reads a straightened code; which patterns belong together, and how many modules
// lie between them, is tried out here, with what is already known of the codes beside.

const (
	maxCorners    = 256 // finder patterns looked at; a page of ours has 36, and some that only look so
	maxTries      = 500 // readings of codes; a worn page of ours takes up to 30
	cornerModules = 7   // modules that a finder pattern is wide
	skewed        = .08 // how far off the right angle a third corner may be, as a part of the edge
)

// triangle is three finder patterns that may be the corners of a code, the edges given in pixels.
type triangle struct {
	topLeft, topRight, bottomLeft *detector.FinderPattern
	edge, module                  float64
}

// finder looks for the codes in one picture.
type finder struct {
	matrix  *gozxing.BitMatrix
	decoder *decoder.Decoder
	used    map[*detector.FinderPattern]bool
	size    int // modules a side, as of the last code that could be read; 0: none yet
	tries   int // readings, successful or not
}

// matrix is what the library calls the dark parts of a picture, decided for every pixel by what is around it.
func (g grey) matrix() (*gozxing.BitMatrix, error) {
	source, err := gozxing.NewPlanarYUVLuminanceSource(g.pixels, g.width, g.height, 0, 0, g.width, g.height, false)
	if err != nil {
		return nil, fmt.Errorf("its picture cannot be looked at: %w", err)
	}
	return gozxing.NewHybridBinarizer(source).GetBlackMatrix()
}

// pairsPerReading is how many pairs of corners are looked at in the time that the reading of a code takes.
const pairsPerReading = 1024

// texts answers what the codes in the picture say, as far as they can be read, and the effort of it in readings.
func texts(matrix *gozxing.BitMatrix) (found []string, effort int) {
	f := finder{matrix: matrix, decoder: decoder.NewDecoder(), used: map[*detector.FinderPattern]bool{}}
	corners := corners(matrix)
	for _, t := range triangles(corners) {
		if f.tries > maxTries {
			break
		}
		if f.used[t.topLeft] || f.used[t.topRight] || f.used[t.bottomLeft] {
			continue
		}
		if text, ok := f.read(t); ok {
			found = append(found, text)
			f.used[t.topLeft], f.used[t.topRight], f.used[t.bottomLeft] = true, true, true
		}
	}
	return found, f.tries + len(corners)*len(corners)/pairsPerReading
}

// corners finds the finder patterns: in a line through the middle of one, dark and light are as 1:1:3:1:1.
func corners(matrix *gozxing.BitMatrix) []*detector.FinderPattern {
	patterns := detector.NewFinderPatternFinder(matrix, nil)
	for y := 1; y < matrix.GetHeight() && len(patterns.GetPossibleCenters()) < 4*maxCorners; y += 2 {
		cornersInRow(patterns, matrix, y)
	}
	found := slices.DeleteFunc(slices.Clone(patterns.GetPossibleCenters()), func(p *detector.FinderPattern) bool { return p.GetCount() < 2 })
	slices.SortStableFunc(found, func(a, b *detector.FinderPattern) int { return cmp.Compare(b.GetCount(), a.GetCount()) })
	return found[:min(len(found), maxCorners)]
}

func cornersInRow(patterns *detector.FinderPatternFinder, matrix *gozxing.BitMatrix, y int) {
	runs := make([]int, 5) // dark, light, dark, light, dark
	at := 0
	for x := range matrix.GetWidth() + 1 {
		dark := x < matrix.GetWidth() && matrix.Get(x, y)
		if dark == (at%2 == 0) {
			runs[at]++
			continue
		}
		if at < 4 {
			if at > 0 || runs[0] > 0 {
				at++
				runs[at]++
			}
			continue
		}
		if detector.FinderPatternFinder_foundPatternCross(runs) && patterns.HandlePossibleCenter(runs, y, x) {
			clear(runs)
			at = 0
			continue
		}
		copy(runs, runs[2:])
		runs[3], runs[4], at = 1, 0, 3
	}
}

// triangles pairs corners to the upper edges of codes and looks for a third where the lower left one has to be. Short
// edges come first: long ones reach from code to code.
func triangles(corners []*detector.FinderPattern) []triangle {
	var found []triangle
	for _, left := range corners {
		for _, right := range corners {
			module := (left.GetEstimatedModuleSize() + right.GetEstimatedModuleSize()) / 2
			dx, dy := right.GetX()-left.GetX(), right.GetY()-left.GetY()
			edge := math.Hypot(dx, dy)
			if edge < 12*module || edge > 180*module || differ(left, right) {
				continue
			}
			below, off := nearest(corners, left.GetX()-dy, left.GetY()+dx)
			if off > skewed*edge || differ(left, below) {
				continue
			}
			found = append(found, triangle{left, right, below, edge, module})
		}
	}
	slices.SortStableFunc(found, func(a, b triangle) int { return cmp.Compare(a.edge, b.edge) })
	return found
}

// differ says that two patterns are too different in size to be of one code.
func differ(a, b *detector.FinderPattern) bool {
	ratio := a.GetEstimatedModuleSize() / b.GetEstimatedModuleSize()
	return ratio > 1.3 || ratio < 1/1.3
}

func nearest(corners []*detector.FinderPattern, x, y float64) (*detector.FinderPattern, float64) {
	best, off := corners[0], math.Inf(1)
	for _, c := range corners {
		if d := math.Hypot(c.GetX()-x, c.GetY()-y); d < off {
			best, off = c, d
		}
	}
	return best, off
}

// read tries the sizes that a code with these corners may have, first the one that its neighbours have.
func (f *finder) read(t triangle) (string, bool) {
	for _, size := range f.sizes(t) {
		for _, bend := range []*detector.AlignmentPattern{f.alignment(t, size), nil} {
			if text, ok := f.readAs(t, size, bend); ok {
				f.size = size
				return text, true
			}
			if bend == nil {
				break
			}
		}
	}
	return "", false
}

// sizes lists the lengths of the side, in modules, that are near the measured one. They go in steps of four.
func (f *finder) sizes(t triangle) []int {
	measured := t.edge/t.module + cornerModules
	near := 17 + 4*int(math.Round((measured-17)/4))
	var sizes []int
	for _, step := range []int{0, 4, -4, 8, -8} {
		size := near + step
		if size >= 21 && size <= 177 && math.Abs(float64(size)-measured) < 2+measured/14 {
			sizes = append(sizes, size)
		}
	}
	if i := slices.Index(sizes, f.size); i > 0 {
		sizes[0], sizes[i] = sizes[i], sizes[0]
	}
	return sizes
}

// alignment finds the small pattern near the fourth corner, or answers nil.
func (f *finder) alignment(t triangle, size int) *detector.AlignmentPattern {
	if size < 25 {
		return nil
	}
	module := t.edge / float64(size-cornerModules)
	part := 1 - 3/float64(size-cornerModules) // it is three modules nearer than a corner would be
	x := t.topLeft.GetX() + part*(t.topRight.GetX()+t.bottomLeft.GetX()-2*t.topLeft.GetX())
	y := t.topLeft.GetY() + part*(t.topRight.GetY()+t.bottomLeft.GetY()-2*t.topLeft.GetY())
	for _, reach := range []float64{4, 8} {
		left, top := max(0, int(x-reach*module)), max(0, int(y-reach*module))
		right, bottom := min(f.matrix.GetWidth()-1, int(x+reach*module)), min(f.matrix.GetHeight()-1, int(y+reach*module))
		if right-left < int(3*module) || bottom-top < int(3*module) {
			return nil
		}
		search := detector.NewAlignmentPatternFinder(f.matrix, left, top, right-left, bottom-top, module, nil)
		if found, err := search.Find(); err == nil {
			return found
		}
	}
	return nil
}

func (f *finder) readAs(t triangle, size int, bend *detector.AlignmentPattern) (string, bool) {
	f.tries++
	bits, ok := f.straighten(detector.Detector_createTransform(t.topLeft, t.topRight, t.bottomLeft, bend, size), size)
	if !ok {
		return "", false
	}
	result, err := f.decoder.Decode(bits, nil)
	if err != nil {
		return "", false
	}
	return result.GetText(), true
}

// straighten looks at the middle of every module. The library's own way of doing so trusts that a line whose ends are
// inside the picture lies inside, which does not hold for corners of different codes.
func (f *finder) straighten(toPicture *common.PerspectiveTransform, size int) (*gozxing.BitMatrix, bool) {
	bits, err := gozxing.NewBitMatrix(size, size)
	if err != nil {
		return nil, false
	}
	line := make([]float64, 2*size)
	for y := range size {
		for x := range size {
			line[2*x], line[2*x+1] = float64(x)+.5, float64(y)+.5
		}
		toPicture.TransformPoints(line)
		for x := range size {
			px, py := line[2*x], line[2*x+1]
			if !(px >= 0 && px < float64(f.matrix.GetWidth()) && py >= 0 && py < float64(f.matrix.GetHeight())) {
				return nil, false
			}
			if f.matrix.Get(int(px), int(py)) {
				bits.Set(x, y)
			}
		}
	}
	return bits, true
}
