package ui

import (
	"math"
	"time"

	"appliance/internal/api"
)

// certificateView is the site's certificate, and where today is in its life.
type certificateView struct {
	api.Certificate
	Trouble   string // why nothing is known
	Days      int    // left; negative: over for so long
	Tone      string
	Today     float64 // percent of its life
	Renewal   float64 // likewise; negative: none is planned
	Renewable bool
}

// From is how it came here, and who has signed it.
func (v certificateView) From() string {
	from := v.Source
	if from == "acme" {
		from = "ACME"
	}
	if v.Issuer != "" {
		from += ", " + v.Issuer
	}
	return from
}

// Bounds in days, as the supervisor warns.
const (
	soonDays   = 10
	urgentDays = 3
)

func newCertificateView(c api.Certificate, trouble string, now time.Time) certificateView {
	v := certificateView{Certificate: c, Trouble: trouble, Tone: quiet, Renewal: -1}
	if trouble != "" || c.NotAfter.IsZero() {
		return v
	}
	left := c.NotAfter.Sub(now)
	v.Days = int(math.Floor(left.Hours() / 24))
	switch {
	case left <= 0, now.Before(c.NotBefore), v.Days < urgentDays:
		v.Tone = bad
	case v.Days < soonDays, c.Source == "self-signed", len(c.Warnings) > 0:
		v.Tone = warn
	default:
		v.Tone = good
	}
	life := c.NotAfter.Sub(c.NotBefore)
	at := func(t time.Time) float64 {
		if life <= 0 {
			return 0
		}
		return math.Round(10*100*min(1, max(0, float64(t.Sub(c.NotBefore))/float64(life)))) / 10
	}
	v.Today = at(now)
	if c.RenewAt != nil {
		v.Renewal = at(*c.RenewAt)
	}
	v.Renewable = c.Source == "acme" || c.Authority != "" || c.RenewAt != nil || c.NextTry != nil
	return v
}
