package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed view.html
var pageText string

//go:embed view.css
var styleText string

//go:embed view.js
var scriptText string

// paper is what the pages are written on: the templates, and what browsers are told to let them do.
type paper struct {
	templates *template.Template
	policy    string
}

func newPaper(now func() time.Time) (*paper, error) {
	templates, err := template.New("").Funcs(template.FuncMap{
		"span":   span,
		"since":  func(t time.Time) string { return span(now().Sub(t).Truncate(time.Second)) },
		"clock":  func(t time.Time) string { return clock(t, now()) },
		"date":   func(t time.Time) string { return t.Local().Format("2 Jan 2006") },
		"bytes":  bytesOf,
		"image":  nameOf,
		"style":  func() template.CSS { return template.CSS(styleText) },
		"script": func() template.JS { return template.JS(scriptText) },
	}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	policy := fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		digest(styleText), digest(scriptText))
	return &paper{templates: templates, policy: policy}, nil
}

// digest names a text in a content security policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// protect tells the browser that a page loads nothing, runs nothing of others, and is shown in no frame.
func (p *paper) protect(h http.Header) {
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // without one, a browser would not say where a form comes from
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// render fills the template of that name in.
func (p *paper) render(name string, data any) ([]byte, error) {
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, name, data); err != nil {
		return nil, fmt.Errorf("cannot write the page: %w", err)
	}
	return out.Bytes(), nil
}

func (p *paper) write(w http.ResponseWriter, code int, name string, data any) {
	page, err := p.render(name, data)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(page) // the browser has gone: nobody to tell
}

func (p *paper) refuse(w http.ResponseWriter, code int, why string) {
	p.write(w, code, "refusal", why)
}
