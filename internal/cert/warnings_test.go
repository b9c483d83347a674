package cert

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// passDays lets days pass, and answers how many days were left when each warning came, with how it begins.
func (h *host) passDays(days int, end time.Time) (list []string) {
	for range days {
		pass(dayLong)
		for _, text := range h.warnings() {
			list = append(list, fmt.Sprintf("%d: %s", int(math.Floor(end.Sub(h.now()).Hours()/24)), text))
		}
	}
	return list
}

func TestWarningsComeOnce(t *testing.T) {
	for _, test := range []struct {
		name   string
		source Source
		wish   Wish
		fail   bool
		want   []string // days left, and a part of the text
	}{
		{"imported, nobody renews it", Imported, plainWish, false, []string{
			"9: The imported certificate expires on 2000-01-21 00:00 UTC, in less than 10 days; import a newer one, or set appliance.ssl.letsencrypt.enabled",
			"2: The imported certificate expires on 2000-01-21 00:00 UTC, in less than 3 days; import a newer one, or set appliance.ssl.letsencrypt.enabled",
			"-1: The imported certificate has expired on 2000-01-21 00:00 UTC: visitors are shown a self-signed one, which their browsers warn of",
		}},
		{"the authority does not renew it", Issued, withACME(plainWish), true, []string{
			"9: The acme certificate expires on 2000-01-21 00:00 UTC, in less than 10 days; ",
			"2: The acme certificate expires on 2000-01-21 00:00 UTC, in less than 3 days; ",
			"-1: The acme certificate has expired on 2000-01-21 00:00 UTC: visitors are shown a self-signed one, which their browsers warn of",
			"-1: No authority has issued a certificate yet: visitors are shown a self-signed one; ",
		}},
		{"imported, and the authority does not follow it", Imported, withACME(plainWish), true, []string{
			"9: The imported certificate expires on 2000-01-21 00:00 UTC, in less than 10 days; ",
			"2: The imported certificate expires on 2000-01-21 00:00 UTC, in less than 3 days; ",
			"-1: The imported certificate has expired on 2000-01-21 00:00 UTC: visitors are shown a self-signed one, which their browsers warn of",
			"-1: No authority has issued a certificate yet: visitors are shown a self-signed one; ",
		}},
		{"the authority renews it", Issued, withACME(plainWish), false, nil},
		{"the authority follows it", Imported, withACME(plainWish), false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, time.Time{})
				end := h.now().Add(20 * dayLong)
				h.lay(test.source, h.now().Add(-70*dayLong), end, "a.example")
				if test.fail {
					h.acme.fail = func(int) error { return errDown }
				}
				k, stop := h.run(test.wish)
				defer stop()
				pass(2 * time.Hour) // it looks once an hour
				got := h.passDays(25, end)
				for i, want := range test.want {
					if i >= len(got) || !strings.HasPrefix(got[i], want) {
						t.Errorf("want %q in\n%s", want, strings.Join(got, "\n"))
					}
				}
				if len(got) != len(test.want) {
					t.Errorf("the warnings are\n%s", strings.Join(got, "\n"))
				}
				if test.fail && !strings.HasSuffix(got[0], "failed tries: cannot reach the authority") {
					t.Errorf("the reason is not in %s", got[0])
				}
				if status := k.Status(); (len(status.Warnings) > 0) != (len(test.want) > 0) {
					t.Errorf("the status has %q", status.Warnings)
				}
			})
		})
	}
}

func TestWarningsThatHold(t *testing.T) {
	h := newHost(t, today)
	key, chain := h.ca.pair(lastYear, nextYear, "a.example")
	expiredKey, expired := h.ca.pair(lastYear, today.Add(-time.Hour), "a.example")
	for _, test := range []struct {
		name string
		wish Wish
		want []string
	}{
		{"self-signed, nobody is to be asked", plainWish, nil},
		{"self-signed, nobody has been asked yet", withACME(plainWish), nil},
		{"supplied", Wish{Names: plainWish.Names, Key: string(key), Chain: string(chain)}, nil},
		{"supplied and expired", Wish{Names: plainWish.Names, Key: string(expiredKey), Chain: string(expired)}, []string{
			"The site goes on with its self-signed certificate: cannot use the supplied certificate: it has expired on 2026-05-06 06:08 UTC; give one that is valid, or none, so that another is taken"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, today)
			k := h.keeper()
			for range 3 {
				_, err := k.Ensure(t.Context(), test.wish)
				must(t, err)
			}
			if diff := cmp.Diff(test.want, h.warnings()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.want, k.Status().Warnings); diff != "" {
				t.Error(diff)
			}
			_, err := k.Ensure(t.Context(), Wish{Names: plainWish.Names, Key: string(key), Chain: string(chain)})
			must(t, err)
			if left := k.Status().Warnings; len(left) > 0 {
				t.Errorf("after it is mended it still says %q", left)
			}
			_, err = k.Ensure(t.Context(), test.wish)
			must(t, err)
			if again := h.warnings(); len(again) != len(test.want) {
				t.Errorf("when it comes back it says %q", again)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	h := newHost(t, today)
	w := withACME(plainWish)
	k := h.keeper()
	_, err := k.Ensure(t.Context(), w)
	must(t, err)
	_, err = k.Renew(t.Context())
	must(t, err)
	text, err := os.ReadFile(filepath.Join(h.root, metricsPath))
	must(t, err)
	status := k.Status()
	want := fmt.Sprintf(`# HELP appliance_certificate_info Where the certificate in force came from.
# TYPE appliance_certificate_info gauge
appliance_certificate_info{source="acme"} 1
# HELP appliance_certificate_valid_until_seconds When the certificate in force expires.
# TYPE appliance_certificate_valid_until_seconds gauge
appliance_certificate_valid_until_seconds{domain="a.example"} %d
# HELP appliance_certificate_renew_at_seconds When the authority is asked for the next one.
# TYPE appliance_certificate_renew_at_seconds gauge
appliance_certificate_renew_at_seconds %d
# HELP appliance_certificate_failed_tries Renewals that have failed since the last success.
# TYPE appliance_certificate_failed_tries gauge
appliance_certificate_failed_tries 0
# HELP ssl_cert_valid_until When the certificate in force expires.
# TYPE ssl_cert_valid_until gauge
ssl_cert_valid_until{domain="a.example"} %[1]d
# HELP letsencrypt_last_update When an authority has last issued a certificate.
# TYPE letsencrypt_last_update gauge
letsencrypt_last_update %[3]d
`, status.NotAfter.Unix(), status.RenewAt.Unix(), today.Unix())
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(h.root, metricsPath)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	h.acme.fail = func(int) error { return errDown }
	_, err = k.Renew(t.Context())
	if text, readErr := os.ReadFile(filepath.Join(h.root, metricsPath)); err == nil || readErr != nil || !strings.Contains(string(text), "failed_tries 1\n") {
		t.Errorf("after a failure they are %s", text)
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	if got := escapeLabel("a\\b\"c\nd"); got != `a\\b\"c\nd` {
		t.Errorf("it is %s", got)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	text := oneLine("a\r\nb\x00\xff" + strings.Repeat("ü", 10000))
	if !strings.HasPrefix(text, "a  b ?ü") || len(text) > maxError+3 || strings.ContainsRune(text, '�') {
		t.Errorf("it is %q", text)
	}
}
