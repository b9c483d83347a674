// Package source finds the environment document of a host: it asks files, seed drives and the metadata services of clouds
// in one order, and the first that has a document wins.
//
// A source that has nothing and a source that is broken are never confused. Nothing is a file that is not there, a service
// that cannot be reached or that answers 404; the next source is asked. Broken is whatever has or should have a document and
// does not hand it out whole; that ends the search with an error, because the next source could have the document of
// somebody else.
package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// UserData is a document that a source handed out.
type UserData struct {
	Source  string `json:"source"`         // "file", "nocloud", "config-2", "ec2", "gce", "openstack", "digitalocean", "hetzner", "azure"
	Origin  string `json:"origin"`         // the place for people: "/app/env.yml", "nocloud on /dev/sr0 (user-data)"
	Data    []byte `json:"-"`              // plain YAML text, at most Config.Limit bytes; it holds secrets
	Network bool   `json:"network"`        // it came over the network, which may be down at the next boot
	Path    string `json:"path,omitempty"` // of a file on the host (below the System's root), "" otherwise
}

// DefaultLimit is the largest document that is accepted where Config has no limit, in bytes. The clouds allow 16 to 256 KiB.
const DefaultLimit = 4 << 20

// Config says where to look.
type Config struct {
	System  *system.System
	EnvYML  string    // value of the variable ENV_YML, "" where it is not set
	Limit   int64     // of the document, in bytes, in every layer of its packing; 0 is DefaultLimit
	Cached  *UserData // from a network source, as it ran here before: it stands in while that source is out of reach or broken
	Machine *Machine  // nil is this machine, or none at all where the System is only a directory
}

// Machine is what a host can be asked beside its own files. What is empty is not asked.
type Machine struct {
	Arguments []string                                                            // files on the host which may name a NoCloud seed, in order
	Drives    func(ctx context.Context, label string) (paths []string, err error) // devices with a file system of that label
	Services  map[string]string                                                   // base address of each metadata service, by the name of its source
}

// thisMachine is the machine that we run on.
func thisMachine(sys *system.System) *Machine {
	const linkLocal = "http://169.254.169.254" // all but Google agreed on it
	return &Machine{
		Arguments: []string{"/proc/cmdline", "/sys/class/dmi/id/product_serial"},
		Drives:    func(ctx context.Context, label string) ([]string, error) { return sys.Labelled(ctx, label) },
		Services: map[string]string{
			"ec2":          linkLocal,
			"gce":          "http://metadata.google.internal",
			"openstack":    linkLocal,
			"digitalocean": linkLocal,
			"hetzner":      linkLocal,
			"azure":        linkLocal,
		},
	}
}

// Find asks the sources in order, the local ones one after the other and then those of the network side by side, which costs
// at most 3 s where nobody answers. The Result has a verdict on every source, also with an error. No document anywhere is no error:
// Result.Found is nil then. The error is that of the first broken source, or of ctx when it ends.
func Find(ctx context.Context, c Config) (Result, error) {
	s := newSearch(c)
	defer s.web.client.CloseIdleConnections()
	local, network := s.local(), s.network()
	result, err := askInTurn(ctx, local)
	if result.Found == nil && err == nil {
		var more Result
		more, err = s.askSideBySide(ctx, network)
		more.Sources = append(result.Sources, more.Sources...)
		result = more
	}
	for _, src := range append(local, network...)[len(result.Sources):] {
		result.Sources = append(result.Sources, src.notAsked("an earlier source has ended the search"))
	}
	if ctx.Err() != nil { // what the sources made of that is not their fault
		return Result{Sources: result.Sources}, fmt.Errorf("cannot find the environment: %w", context.Cause(ctx))
	}
	return result, err
}

// search is one call of Find.
type search struct {
	Config
	web *web
}

func newSearch(c Config) *search {
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Machine == nil {
		c.Machine = &Machine{}
		if c.System.Real() {
			c.Machine = thisMachine(c.System)
		}
	}
	return &search{Config: c, web: newWeb(c.Limit)}
}

// source is one place to ask. ask answers the document, or an error: absent where there is none.
type source struct {
	name  string // as in UserData.Source
	place string
	ask   func(ctx context.Context) (*UserData, error)
}

// absent says why a source has no document; it is what tells nothing from broken.
type absent struct {
	why     string
	silent  bool // nobody answered: that says nothing about whether there is a document
	unasked bool // there was nothing to ask
}

func (a absent) Error() string { return a.why }

// askInTurn asks until a source has a document or is broken.
func askInTurn(ctx context.Context, sources []source) (Result, error) {
	var result Result
	for _, src := range sources {
		r := src.reply(ctx)
		result.Sources = append(result.Sources, r.verdict)
		if r.verdict.Outcome == Broken {
			return result, src.broken(r.err)
		}
		if r.found != nil {
			result.Found = r.found
			break
		}
	}
	return result, nil
}

// reply is what became of asking one source.
type reply struct {
	found   *UserData
	err     error
	verdict Verdict
}

func (r reply) silent() bool {
	var none absent
	return errors.As(r.err, &none) && none.silent
}

func (s source) reply(ctx context.Context) reply {
	start := time.Now()
	found, err := s.ask(ctx)
	r := reply{found, err, Verdict{Source: s.name, Place: s.place, Took: time.Since(start)}}
	var none absent
	switch {
	case err == nil:
		r.verdict.Outcome, r.verdict.Detail = Found, found.Origin
	case errors.As(err, &none) && none.unasked:
		r.verdict.Outcome, r.verdict.Detail = NotAsked, err.Error()
	case errors.As(err, &none):
		r.verdict.Outcome, r.verdict.Detail = Nothing, err.Error()
	default:
		r.verdict.Outcome, r.verdict.Detail = Broken, err.Error()
	}
	return r
}

func (s source) broken(err error) error {
	err = fmt.Errorf("cannot read the environment from %s: %w", s.name, err)
	if remedy.Of(err) == "" {
		err = remedy.With(err, "repair that source, or write the environment to "+EnvPath)
	}
	return err
}

func (s source) notAsked(why string) Verdict {
	return Verdict{Source: s.name, Place: s.place, Outcome: NotAsked, Detail: why}
}

// userData unpacks what a source has handed out. Nothing in it is the same as nothing there.
func (s *search) userData(name, origin string, packed []byte) (*UserData, error) {
	data, err := unpack(packed, s.Limit)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, absent{why: "it is empty"}
	}
	return &UserData{Source: name, Origin: origin, Data: data}, nil
}
