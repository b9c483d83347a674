package cert

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// metricsPath is read by the textfile collector of Prometheus' node exporter.
const metricsPath = etcDir + "/metric_import/appliance-certificate.prom"

// metrics writes what is known in the text format of Prometheus. Nothing in it changes with the time alone. The last two names are those
// that dashboards and alerts of the appliance before us ask for.
func metrics(s state, now time.Time) []byte {
	var b bytes.Buffer
	gauge := func(name, help, labels string, value int64) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s%s %d\n", name, help, name, name, labels, value)
	}
	g := s.inForce
	domain := fmt.Sprintf(`{domain="%s"}`, escapeLabel(nameOf(s.wish)))
	gauge("appliance_certificate_info", "Where the certificate in force came from.", fmt.Sprintf(`{source="%s"}`, g.Source), 1)
	gauge("appliance_certificate_valid_until_seconds", "When the certificate in force expires.", domain, g.NotAfter.Unix())
	if at := s.due(now); !at.IsZero() {
		gauge("appliance_certificate_renew_at_seconds", "When the authority is asked for the next one.", "", at.Unix())
	}
	gauge("appliance_certificate_failed_tries", "Renewals that have failed since the last success.", "", int64(s.failures(now).Tries))
	gauge("ssl_cert_valid_until", "When the certificate in force expires.", domain, g.NotAfter.Unix())
	if s.own != nil && s.own.Source == Issued {
		gauge("letsencrypt_last_update", "When an authority has last issued a certificate.", "", s.own.made.Unix())
	}
	return b.Bytes()
}

func escapeLabel(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text)
}

// publish writes the metrics where they have changed. Without them the certificate is as good.
func (k *Keeper) publish() {
	k.publishing.Lock()
	defer k.publishing.Unlock()
	s := k.snapshot()
	if s.inForce == nil {
		return
	}
	text := metrics(s, k.config.System.Now())
	if old, err := k.config.System.ReadFile(metricsPath); err == nil && bytes.Equal(old, text) {
		return
	}
	if err := k.config.System.WriteFile(metricsPath, text, 0o644); err != nil {
		k.config.Log.Warn("cannot write metrics", "file", metricsPath, "err", err)
	}
}
