// Package create makes new environments: a complete env.yml for a domain, with keys and secrets of its own, and the DNS
// records that belong to it.
//
// The package has no effects on the host: callers hand in the text of files and write the result, readable for its owner
// only.
package create

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"appliance/env"
	"appliance/internal/remedy"
)

// Options say what is made.
type Options struct {
	// Domain is the full name of the host, as appliance.domain of the schema wants it.
	Domain string

	// Extra is YAML that is laid over the result, nil for none: mappings merge, lists and scalars replace, null removes, and
	// new keys go to the end of their mapping. It may have neither aliases nor merge keys, and neither appliance.domain nor
	// appliance.dkim, which belong to the DNS records. ExtraName names it in problems.
	Extra     []byte
	ExtraName string

	// Template is text for text/template that makes the environment out of Data, nil for the embedded one. TemplateName
	// names it in errors.
	Template     []byte
	TemplateName string

	// Now is the creation time of the OpenPGP keys.
	Now time.Time
}

// Environment is a finished environment. Data holds secrets; DNS, which is also in the comments of Data, holds none.
type Environment struct {
	Data []byte
	DNS  Zone
}

// New makes an environment that Validate of package env has nothing against. Every call makes new secrets. It takes up
// to some seconds, nearly all of it for RSA keys, and ends early when ctx does.
//
// What is wrong with the template or with Extra is an error with file and line, a *env.Report where it concerns YAML or
// the schema.
func New(ctx context.Context, o Options) (*Environment, error) {
	r, err := read(o)
	if err != nil {
		return nil, err
	}
	k, err := newKeys(ctx, o.Now)
	if err != nil {
		return nil, err
	}
	return r.fill(k)
}

// recipe is all that is known before there are keys, so that most mistakes are told at once.
type recipe struct {
	domain string
	source source
	extra  *extra // nil for none
}

func read(o Options) (r recipe, err error) {
	r.domain = strings.TrimSpace(o.Domain)
	if err := checkDomain(r.domain); err != nil {
		return r, err
	}
	if r.source, err = parseTemplate(o.TemplateName, o.Template); err != nil {
		return r, err
	}
	r.extra, err = parseExtra(o.ExtraName, o.Extra)
	return r, err
}

func (r recipe) fill(k keys) (*Environment, error) {
	records := zone(r.domain, k.dkimPublic)
	text, err := r.source.render(Data{
		Domain: r.domain, SentryDSN: r.extra.sentryDSN(), DNS: records, Selector: Selector,
		DKIMKey: k.dkim, BackupKey: k.backup, VaultEncryptKey: k.vaultEncrypt, VaultSignKey: k.vaultSign,
	})
	if err == nil && r.extra != nil {
		text, err = r.extra.over(r.source.Name(), text)
	}
	if err != nil {
		return nil, err
	}
	return &Environment{Data: text, DNS: records}, nil
}

// checkDomain asks the schema, in the smallest document that has a domain.
func checkDomain(domain string) error {
	err := check("", []byte("appliance:\n  domain: "+strconv.Quote(domain)+"\n"), func(*env.Problem) {})
	var report *env.Report
	if errors.As(err, &report) {
		p := report.Problems[0]
		return remedy.With(fmt.Errorf("cannot use the domain: %s", p.Message), p.Remedy)
	}
	return err
}

// check parses and validates a document. locate moves each problem to the place it comes from.
func check(name string, text []byte, locate func(*env.Problem)) error {
	doc, err := env.Parse(name, text)
	if err == nil {
		err = doc.Validate()
	}
	var report *env.Report
	if errors.As(err, &report) {
		for i := range report.Problems {
			locate(&report.Problems[i])
		}
		slices.SortStableFunc(report.Problems, func(a, b env.Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
	}
	return err
}
