package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"sync"
	texttemplate "text/template"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

//go:embed page.txt
var pageText string

// The templates are read when the first page is shown: most runs of this program show none.
var (
	htmlPage = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageHTML)) })
	textPage = sync.OnceValue(func() *texttemplate.Template {
		return texttemplate.Must(texttemplate.New("page").Parse(pageText))
	})
)

// policy allows the style and the script that are in the page, by their digests, and the page to ask us for news.
// Nothing else is fetched, framed, sent or run.
var policy = sync.OnceValue(func() string {
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; connect-src 'self'; img-src data:; " +
		"style-src '" + digest(pageCSS) + "'; script-src '" + digest(pageJS) + "'"
})

func digest(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// answer is a response that is complete before its first byte is sent.
type answer struct {
	status         int
	form, language string
	body           []byte
}

// show writes a document as the form wants it. The templates are ours and their data are plain values, so they fail only
// if they are wrong, which every test of this package would see.
func (a *answer) show(d document) {
	var out bytes.Buffer
	var err error
	if a.form == formHTML {
		err = htmlPage().Execute(&out, struct {
			document
			Style  template.CSS
			Script template.JS
		}{d, template.CSS(pageCSS), template.JS(pageJS)}) //nolint:gosec // both are our own files
	} else {
		err = textPage().Execute(&out, d)
	}
	if err != nil {
		out.Reset()
		out.WriteString(d.Headline + "\n")
		a.form = formText
	}
	a.body = out.Bytes()
}

func (a *answer) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	protect(h)
	if a.form == formHTML {
		h.Set("Content-Security-Policy", policy())
	}
	h.Set("Content-Type", a.form)
	if a.form != formJSON {
		h.Set("Content-Type", a.form+"; charset=utf-8")
		h.Set("Content-Language", a.language)
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Add("Vary", "Accept, Accept-Language")
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // who has gone is not told
	}
}

// protect sets what all answers of this package have: they are of this moment, and only what they say they are.
func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Referrer-Policy", "no-referrer")
}
