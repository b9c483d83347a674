package phases

import (
	"strings"

	"appliance/env"
)

// masked is an error whose text hides the secrets of the environment: the compose loader and the engine quote what they
// were given, and failures are shown to everybody.
type masked struct {
	error
	text string
}

func (m masked) Error() string { return m.text }
func (m masked) Unwrap() error { return m.error }

const hidden = "[secret]"

// mask hides the secrets of the environment in err's text.
func (w *walk) mask(err error) error {
	if err == nil {
		return nil
	}
	if text := w.maskText(err.Error()); text != err.Error() {
		return masked{err, text}
	}
	return err
}

func (w *walk) maskText(text string) string {
	doc := w.active
	if doc == nil {
		doc = w.candidate
	}
	if doc == nil {
		return text
	}
	w.secrets.Do(func() { w.masker = masker(doc) })
	return w.masker.Replace(text)
}

// hide hides the secrets of the environment in force, beside the walk.
func (a *Appliance) hide(text string) string {
	if m := a.masker.Load(); m != nil {
		return m.Replace(text)
	}
	return text
}

func masker(doc *env.Document) *strings.Replacer {
	var pairs []string
	for _, secret := range doc.Secrets() {
		pairs = append(pairs, secret, hidden)
	}
	return strings.NewReplacer(pairs...)
}
