package paper

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"appliance/internal/remedy"
)

// The page is A4. Letter is 18 mm shorter: printed on it without scaling, A4 loses 9 mm at the top and at the bottom, where
// nothing stands.
const (
	pageWidth          = 210.0 // mm, as what follows
	left, right        = 15.0, pageWidth - 15
	headLine, footLine = 20.0, 281.0
	top                = 26.0

	prose, mono  = "prose", "mono"
	point        = 25.4 / 72        // mm
	listingSize  = 8.5              // points
	listingStep  = 4.0              // mm from row to row
	numberWidth  = 14.0             // mm for the line numbers
	cell         = 180.0 / perRow   // mm from code to code
	cellStep     = 62.5             // mm from row of codes to row of codes
	symbolSide   = 58.0             // mm at most, the white edge included
	perColumn    = perPage / perRow // rows of codes
	longestTitle = 64               // characters of a name in a head
	tint, faint  = 232, 110         // grey of boxes and of what is beside the point
	goesOn       = "→"
)

// grid is what modules are a multiple of and begin at: at 100, 200, 300, 400 and 600 dpi it is a whole number of pixels, so
// that a page turned into a picture has modules of one size. The largest code has modules of 0.508 mm.
const grid = .254 // mm

const (
	rowsPerPage = 62  // of listingStep
	charsPerRow = 91  // of listingSize beside the numbers; tested
	maxListing  = 500 // pages; one that is longer nobody would print
)

// printer draws one document.
type printer struct {
	pdf      *fpdf.Fpdf
	sheet    Sheet
	document []byte
	rows     []row
	codes    int
	has      func(rune) bool
}

func newPrinter(s Sheet, document []byte, codes int) (*printer, error) {
	has, err := glyphs()
	if err != nil {
		return nil, err
	}
	p := &printer{pdf: fpdf.New("P", "mm", "A4", ""), document: document, codes: codes, has: has}
	p.sheet = Sheet{Domain: p.printable(s.Domain), Name: p.printable(s.Name), Made: s.Made.UTC()}
	p.rows = rows(document, charsPerRow, has)
	if n := p.listingPages(); n > maxListing {
		return nil, remedy.With(fmt.Errorf("cannot print the document: its listing has %d pages, more than %d", n, maxListing), advice)
	}
	p.pdf.AddUTF8FontFromBytes(prose, "", goregular.TTF)
	p.pdf.AddUTF8FontFromBytes(mono, "", gomono.TTF)
	p.pdf.SetMargins(left, top, pageWidth-right)
	p.pdf.SetAutoPageBreak(false, 0)
	p.pdf.SetCellMargin(0)
	p.pdf.SetTitle("Environment of "+p.sheet.Domain, true)
	p.pdf.SetCreator("appliance", true)
	p.pdf.SetCreationDate(p.sheet.Made)
	p.pdf.SetModificationDate(p.sheet.Made)
	return p, nil
}

// glyphs says which characters the font of the listing has.
func glyphs() (func(rune) bool, error) {
	font, err := sfnt.Parse(gomono.TTF)
	if err != nil {
		return nil, fmt.Errorf("cannot read the font of the listing: %w", err)
	}
	var buffer sfnt.Buffer
	return func(r rune) bool {
		index, err := font.GlyphIndex(&buffer, r)
		return err == nil && index != 0
	}, nil
}

// printable is a name as it can stand in a head: of bounded length, with ? for what the font lacks.
func (p *printer) printable(name string) string {
	shown := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || !p.has(r) {
			return '?'
		}
		return r
	}, name))
	if len(shown) > longestTitle {
		return string(shown[:longestTitle-1]) + "…"
	}
	return string(shown)
}

func (p *printer) listingPages() int { return (len(p.rows) + rowsPerPage - 1) / rowsPerPage }

// page begins a page and writes its head and foot.
func (p *printer) page(subject string) {
	p.pdf.AddPage()
	total := page(p.codes) + p.listingPages()
	p.pdf.SetDrawColor(faint, faint, faint)
	p.pdf.SetLineWidth(.2)
	p.pdf.Line(left, headLine+1.5, right, headLine+1.5)
	p.pdf.Line(left, footLine-3.5, right, footLine-3.5)
	p.ends(headLine, p.sheet.Domain, subject)
	p.ends(footLine, fmt.Sprintf("%s · document %s", p.sheet.Made.Format("2006-01-02"), id(p.document)),
		fmt.Sprintf("page %d of %d", p.pdf.PageNo(), total))
}

// ends writes one text at the left and one at the right end of a line.
func (p *printer) ends(y float64, first, last string) {
	p.pdf.SetFont(prose, "", 8.5)
	p.pdf.SetTextColor(faint, faint, faint)
	p.pdf.Text(left, y, first)
	p.pdf.Text(right-p.pdf.GetStringWidth(last), y, last)
	p.pdf.SetTextColor(0, 0, 0)
}

// symbols draws the pages of codes.
func (p *printer) symbols(parts []part) error {
	for i, code := range parts {
		if i%perPage == 0 {
			p.page(fmt.Sprintf("codes %d to %d of %d", i+1, min(i+perPage, len(parts)), len(parts)))
		}
		image, modules, err := symbol(code.String())
		if err != nil {
			return err
		}
		side := math.Floor(symbolSide/float64(modules)/grid) * grid * float64(modules)
		x := onGrid(left + float64(i%perRow)*cell + (cell-side)/2)
		y := onGrid(top + float64(i/perRow%perColumn)*cellStep + (symbolSide-side)/2)
		name := fmt.Sprintf("code-%03d", code.index)
		p.pdf.RegisterImageOptionsReader(name, fpdf.ImageOptions{ImageType: "PNG"}, bytes.NewReader(image))
		p.pdf.ImageOptions(name, x, y, side, side, false, fpdf.ImageOptions{}, 0, "")
		caption := fmt.Sprintf("%d of %d", code.index, code.total)
		p.pdf.SetFont(prose, "", 8)
		p.pdf.Text(x+(side-p.pdf.GetStringWidth(caption))/2, y+side+2, caption)
	}
	return nil
}

func onGrid(mm float64) float64 { return math.Round(mm/grid) * grid }

// listing draws the pages of the document as text.
func (p *printer) listing() {
	for i, r := range p.rows {
		if i%rowsPerPage == 0 {
			p.page(fmt.Sprintf("listing of %s", p.sheet.Name))
			p.pdf.SetFont(mono, "", listingSize)
		}
		y := top + float64(i%rowsPerPage+1)*listingStep
		number := goesOn
		if r.number > 0 {
			number = fmt.Sprint(r.number)
		}
		p.pdf.SetTextColor(faint, faint, faint)
		p.pdf.Text(left+numberWidth-4-p.pdf.GetStringWidth(number), y, number)
		p.pdf.SetTextColor(0, 0, 0)
		p.row(left+numberWidth, y, r)
	}
}

func (p *printer) row(x, y float64, r row) {
	for _, s := range r.spans {
		width := p.pdf.GetStringWidth(s.text)
		if s.boxed {
			p.pdf.SetFillColor(tint, tint, tint)
			p.pdf.Rect(x+.2, y-listingStep*.72, width-.4, listingStep*.93, "F")
		}
		p.pdf.Text(x, y, s.text)
		x += width
	}
}
