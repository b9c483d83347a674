package phases

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"appliance/env"
	"appliance/internal/api"
	"appliance/internal/cert"
	"appliance/internal/cert/acme"
	"appliance/internal/remedy"
)

// authorityDir is where accounts at ACME authorities are kept: with the data, so that a new root disk finds them.
const authorityDir = "/data/etc/cert/acme"

// wish is what the environment asks for by way of a certificate. A directory that stands for a host bothers no public
// authority, and none is asked for names that it cannot know.
func (w *walk) wish(set env.Settings) cert.Wish {
	site := set.Site
	wish := cert.Wish{Names: site.Names, Key: site.Key, Chain: site.Chain}
	a := site.ACME
	if !a.Enabled || !a.Chosen && (!w.sys.Real() || !public(set.Domain)) {
		return wish
	}
	wish.ACME = &acme.Settings{Directory: a.Directory, CABundle: a.CABundle, Email: a.Email, EABKeyID: a.EABKeyID, EABKey: a.EABKey,
		KeyType: a.KeyType, Challenge: a.Challenge, DNS: acme.DNS{Provider: a.Provider, Propagation: a.Propagation, Program: a.Program,
			Endpoint: a.Endpoint, User: a.User, Password: a.Password, Nameserver: a.Nameserver,
			TSIGKey: a.TSIGKey, TSIGSecret: a.TSIGSecret, TSIGAlg: a.TSIGAlg}}
	return wish
}

// special are the top-level domains that the public DNS does not have: RFC 2606, RFC 6762, RFC 8375 and ICANN's of 2024.
var special = []string{"localhost", "local", "test", "example", "invalid", "internal", "onion", "arpa", "lan", "home", "corp"}

// public says whether an authority of the public could know the name.
func public(name string) bool {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return false
	}
	for _, top := range special {
		if strings.EqualFold(name[i+1:], top) {
			return false
		}
	}
	return strings.Trim(name, "0123456789.") != "" // no address
}

// checkSupplied refuses a key and certificate of the environment that cannot serve. One that served before is not
// refused: that it has expired meanwhile must not keep a host from starting.
func (w *walk) checkSupplied() error {
	err := cert.Check(w.wish(w.candidate.Settings()), w.sys.Now())
	if err == nil {
		return nil
	}
	if w.served() {
		w.log.Warn("the certificate of the environment cannot serve any more", "err", err, "todo", remedy.Of(err))
		return nil
	}
	return remedy.With(fmt.Errorf("appliance.ssl: %w", err), remedy.Of(err))
}

func (w *walk) certificateMissing(context.Context) (string, error) {
	wish, err := w.wished()
	if err != nil {
		return "", err
	}
	w.certificates.Wish(wish) // where there is nothing to do here, there may be something to ask an authority for
	return w.certificates.Missing(wish)
}

func (w *walk) ensureCertificate(ctx context.Context) error {
	wish, err := w.wished()
	if err == nil {
		_, err = w.certificates.Ensure(ctx, wish)
	}
	if err == nil || remedy.Of(err) != "" {
		return err
	}
	return remedy.With(err, "make /data/etc writable and free space on it")
}

func (w *walk) wished() (cert.Wish, error) {
	doc, err := w.environment()
	if err != nil {
		return cert.Wish{}, err
	}
	return w.wish(doc.Settings()), nil
}

// newKeeper returns the keeper of the certificate.
func (a *Appliance) newKeeper() *cert.Keeper {
	return cert.New(cert.Config{System: a.cfg.System, Log: a.cfg.Log, Warn: a.warn, Changed: a.certificateChanged,
		Authority: func(s acme.Settings) acme.Authority {
			return acme.New(acme.Config{Settings: s, System: a.cfg.System, Dir: authorityDir, Responder: a.visitors, Log: a.cfg.Log})
		}})
}

// certificateChanged has everybody use the new certificate.
func (a *Appliance) certificateChanged(c cert.Certificate) {
	a.visitors.certified(c)
	a.bus.Publish(api.Event{Kind: "certificate", Text: fmt.Sprintf("a new certificate is in place: %s, for %s, until %s",
		c.Source, strings.Join(c.Names, ", "), c.NotAfter.UTC().Format("2006-01-02 15:04 MST"))})
	a.untold.Store(true)
	go a.tellServices() // the engine may take its time
}

// tellServices has services told of a certificate that has come since they last were. While they are out of health it is
// put off: the walk tells them, or the watch once they are well.
func (a *Appliance) tellServices() {
	if !a.isHealthy() || !a.untold.Swap(false) {
		return
	}
	ctx, cancel := context.WithTimeout(a.ended, defaultLimit)
	defer cancel()
	if err := a.newWalk().tellServices(ctx); err != nil && a.ended.Err() == nil {
		a.untold.Store(true)
		a.warn(fmt.Sprintf("services go on with the old certificate: %v", err))
	}
}

// toldSubject is the record's document on the certificate that services were told of: the fingerprint.
const toldSubject = "certificate"

// servicesUntold looks whether services run that have read another certificate than the one in place.
func (w *walk) servicesUntold(ctx context.Context) (string, error) {
	project, err := w.loadProject(ctx)
	if err != nil || len(project.ReloadOnCert) == 0 {
		return "", err
	}
	told, now := "", w.certificates.Status().SHA256
	if _, err := w.recall(toldSubject, &told); err != nil || told == now {
		return "", err
	}
	return "services that read the certificate when they start have read another one", nil
}

// startWithCertificate notes before services are made for the first time which certificate they read: another one may
// come while they start.
func (w *walk) startWithCertificate(context.Context) error {
	told, now := "", w.certificates.Status().SHA256
	if len(w.project.ReloadOnCert) == 0 {
		return nil
	}
	if known, err := w.recall(toldSubject, &told); known || err != nil || now == "" {
		return err
	}
	return w.remember(toldSubject, now)
}

// tellServices has the services that ask for it read the new certificate. They are told at least once of each.
func (w *walk) tellServices(ctx context.Context) error {
	w.telling.Lock()
	defer w.telling.Unlock()
	if why, err := w.servicesUntold(ctx); why == "" || err != nil {
		return err
	}
	now := w.certificates.Status().SHA256
	var failed error
	for _, reload := range w.project.ReloadOnCert {
		failed = errors.Join(failed, w.engine.Reload(ctx, w.project, reload))
	}
	if failed != nil {
		return failed
	}
	return w.remember(toldSubject, now)
}

// Certificate tells how the site's certificate is doing.
func (a *Appliance) Certificate() api.Certificate {
	s := a.certificates.Status()
	c := api.Certificate{Version: api.Version, Source: string(s.Source), Names: s.Names, Issuer: s.Issuer, Serial: s.Serial, SHA256: s.SHA256,
		NotBefore: s.NotBefore, NotAfter: s.NotAfter, Authority: s.Authority, Tries: s.Tries, LastError: a.hide(s.LastError), Warnings: s.Warnings}
	if !s.RenewAt.IsZero() {
		c.RenewAt = &s.RenewAt
	}
	if !s.NextTry.IsZero() {
		c.NextTry = &s.NextTry
	}
	return c
}

// RenewCertificate asks for a new certificate now, and waits for the outcome.
func (a *Appliance) RenewCertificate(ctx context.Context) (api.Certificate, error) {
	_, err := a.certificates.Renew(ctx)
	return a.Certificate(), err
}

// ImportCertificate puts an operator's own into place, if it is good for the site.
func (a *Appliance) ImportCertificate(ctx context.Context, key, chain []byte) (api.Certificate, error) {
	_, err := a.certificates.Import(ctx, key, chain)
	return a.Certificate(), err
}
