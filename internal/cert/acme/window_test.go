package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"appliance/internal/cert/acme/acmetest"
)

func TestWindow(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{AlwaysValid: true, Validity: 90 * 24 * time.Hour})
	h := newHost(t, ca, Settings{}, newSite(t))
	leaf := h.obtain(t, nil, "ecs.example.org")
	other := newHost(t, ca, Settings{}, nil)
	window, err := other.Window(t.Context(), leaf)
	if err != nil {
		t.Fatal(err)
	}
	if window.Start.Before(leaf.NotBefore) || window.End.After(leaf.NotAfter) || !window.End.After(window.Start) {
		t.Errorf("the window of %v to %v is %v to %v", leaf.NotBefore, leaf.NotAfter, window.Start, window.End)
	}
	if window.AskAgain < 6*time.Hour-time.Minute || window.AskAgain > 6*time.Hour {
		t.Errorf("to be asked again after %v", window.AskAgain)
	}
	if other.System.Exists(other.Dir) {
		t.Error("an account was made for it")
	}
	nothingStays(t)
}

func TestWindowThatIsNone(t *testing.T) {
	authority := &x509.Certificate{SerialNumber: big.NewInt(77), AuthorityKeyId: []byte{1, 2, 3}}
	usual := `{"suggestedWindow": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, "explanationURL": "`
	const path = "/draft-ietf-acme-ari-03/renewalInfo/"
	for _, test := range []struct {
		name, path string
		answer     http.HandlerFunc
		leaf       *x509.Certificate
		want       Window
		text       string
		passing    bool
	}{
		{name: "an authority that tells none", path: "/dir", answer: says(200, "application/json", `{"newAccount": "https://ca/a", "newOrder": "https://ca/o"}`), leaf: authority, text: ErrNoARI.Error()},
		{name: "a certificate of our own", path: path, answer: says(200, "application/json", usual+`"}`), leaf: &x509.Certificate{SerialNumber: big.NewInt(1)}, text: ErrNoARI.Error()},
		{name: "one it does not know", path: "/nowhere", leaf: authority, text: "the authority says: "},
		{name: "a page", path: path, answer: says(200, html, "<html>"), leaf: authority, text: "something else than ACME"},
		{name: "a fault", path: path, answer: refuses(500, "serverInternal", "oops"), leaf: authority, text: "oops (serverInternal)", passing: true},
		{name: "no window", path: path, answer: says(200, "application/json", `{}`), leaf: authority, text: "is none"},
		{name: "one that ends before it starts", path: path, answer: says(200, "application/json", `{"suggestedWindow": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}`), leaf: authority, text: "is none"},
		{name: "good", path: path, answer: says(200, "application/json", usual+`https://ca.example.org/why"}`, "Retry-After", "7200"), leaf: authority, want: Window{AskAgain: 2 * time.Hour, Why: "https://ca.example.org/why"}},
		{name: "asked for too often", path: path, answer: says(200, "application/json", usual+`javascript:alert(1)"}`, "Retry-After", "0"), leaf: authority, want: Window{AskAgain: time.Minute}},
		{name: "asked for too seldom", path: path, answer: says(200, "application/json", usual+strings.Repeat("https://x", 200)+`"}`, "Retry-After", "9999999"), leaf: authority, want: Window{AskAgain: 24 * time.Hour}},
		{name: "Retry-After that is none", path: path, answer: says(200, "application/json", usual+`"}`, "Retry-After", "tomorrow"), leaf: authority, want: Window{AskAgain: 6 * time.Hour}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, answering(t, test.path, test.answer), Settings{}, nil)
			got, err := h.Window(t.Context(), test.leaf)
			var refusal *Refusal
			switch {
			case test.text == ErrNoARI.Error():
				if !errors.Is(err, ErrNoARI) {
					t.Errorf("Window = %v, %v", got, err)
				}
			case test.text != "":
				if !errors.As(err, &refusal) || !strings.Contains(err.Error(), test.text) || refusal.Passing != test.passing {
					t.Errorf("Window = %v, %v", got, err)
				}
			case err != nil || got.Why != test.want.Why || got.Start.Year() != 2026 || (test.want.AskAgain-got.AskAgain).Abs() > time.Minute/2:
				t.Errorf("Window = %+v, %v", got, err)
			}
		})
	}
}

func TestWindowIsCancelled(t *testing.T) {
	reached := make(chan struct{}, 1)
	ca := answering(t, "/dir", func(_ http.ResponseWriter, r *http.Request) { reached <- struct{}{}; <-r.Context().Done() })
	h := newHost(t, ca, Settings{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if _, err := h.Window(ctx, &x509.Certificate{SerialNumber: big.NewInt(77), AuthorityKeyId: []byte{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	nothingStays(t)
}
