package phases

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"appliance/env"
	"appliance/internal/cert"
	"appliance/internal/compose"
)

// beginLimit is how long the front waits to learn where an application is that served before this process: a worker of
// the process before goes on meanwhile, and other visitors rather wait than see a page that is not true.
const beginLimit = 5 * time.Second

// begin receives visitors before the walk has got anywhere, by what the host knows already: a start that fails early is
// what they want to hear of too. It writes nothing to /data: whether that is the right one is not known yet.
func (v *visitors) begin(ctx context.Context) {
	v.takeOver()
	set, project, known := v.remembered(ctx)
	if !known {
		return // the ports may be somebody else's: nobody has said that they are ours
	}
	v.known(set, project)
	v.warned = v.loadClients(nil) // before the first visitor: nobody is let in unasked
	v.showAny(v.a.walk.wish(set))
	if project != nil && v.serving {
		looking, cancel := context.WithTimeout(ctx, beginLimit)
		defer cancel()
		v.look(looking, project)
	}
	v.receive(set, project)
}

// declared takes over the environment that is in force from now on. Visitors are received by it already where the walk
// does not come to the step of the front, and where nothing was known before.
func (v *visitors) declared(ctx context.Context, set env.Settings, project *compose.Project) {
	if set.Standby || v.unknown() {
		v.known(set, project)
		v.showAny(v.a.walk.wish(set))
		v.receive(set, project)
	}
	v.keep(set, project)
}

func (v *visitors) unknown() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mode == ""
}

// receive has visitors received where the environment says, outside of a walk that would come to it.
func (v *visitors) receive(set env.Settings, project *compose.Project) {
	s := site{set: set, project: project, mode: frontMode(set.Site, project)}
	s.listen(v.a.cfg.System)
	if v.a.cfg.Front == nil || s.conflict() != nil {
		return
	}
	if err := v.a.cfg.Front.Listen(s.plain, s.tls); err != nil {
		v.a.warn(err.Error()) // the walk comes to it too
	}
}

// siteSubject is the record's document on who receives visitors where, and in whose name: a host that boots knows it
// before its environment, which may come from the network.
const siteSubject = "site"

type rememberedSite struct {
	Front    string   `json:"front"`
	Plain    []string `json:"http"`
	TLS      []string `json:"https"`
	Domain   string   `json:"domain"`
	Names    []string `json:"names"`
	Vendor   string   `json:"vendor,omitempty"`
	Contact  string   `json:"contact,omitempty"`
	Language string   `json:"language,omitempty"`
	Clients  string   `json:"client_certs"`
}

// keep has the next boot begin with this site.
func (v *visitors) keep(set env.Settings, project *compose.Project) {
	s := site{set: set, mode: frontMode(set.Site, project)}
	s.listen(v.a.cfg.System)
	now := rememberedSite{Front: s.mode, Plain: s.plain, TLS: s.tls, Domain: set.Domain, Names: set.Site.Names,
		Vendor: set.Site.Vendor, Contact: set.Site.Contact, Language: set.Site.Language, Clients: set.Site.Clients}
	var last rememberedSite
	if _, err := v.a.recall(siteSubject, &last); err == nil && reflect.DeepEqual(last, now) {
		return
	}
	if err := v.a.remember(siteSubject, now); err != nil {
		v.a.warn(err.Error()) // a boot receives visitors a little later
	}
}

// remembered reads the settings in force in this boot, else what is on record of the site.
func (v *visitors) remembered(ctx context.Context) (set env.Settings, project *compose.Project, known bool) {
	if doc, err := ActiveEnv(v.a.cfg.System); err == nil {
		v.a.masker.Store(masker(doc))
		w := &walk{sys: v.a.cfg.System, active: doc}
		if project, err = w.loadProject(ctx); err != nil {
			project = nil
		}
		return doc.Settings(), project, true
	}
	var last rememberedSite
	known, err := v.a.recall(siteSubject, &last)
	if err != nil {
		v.a.warn(fmt.Sprintf("visitors are received later: %v", err))
	}
	set.Domain = last.Domain
	set.Site = env.Site{Front: last.Front, FrontSet: true, Plain: last.Plain, TLS: last.TLS, ListenSet: true, Names: last.Names,
		Vendor: last.Vendor, Contact: last.Contact, Language: last.Language, Clients: last.Clients}
	return set, nil, known && err == nil
}

// showAny shows the certificate at hand, or one made up for the moment.
func (v *visitors) showAny(wish cert.Wish) {
	c, err := v.a.certificates.Glance(wish)
	if err != nil {
		v.a.warn(err.Error())
		return
	}
	v.certified(c)
}
