package cert

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"appliance/internal/cert/acme"
	"appliance/internal/remedy"
	"appliance/internal/system"
)

// Config is what a Keeper is made of.
type Config struct {
	System *system.System
	Log    *slog.Logger
	// Authority answers how to reach an authority. What it answers is used by one goroutine at a time.
	Authority func(acme.Settings) acme.Authority
	// Changed is told each certificate that comes into force, in order, the first one after a start too. Neither it nor Warn
	// may call the Keeper back but for Status.
	Changed func(Certificate)
	// Warn is told what an operator should know, each thing once for as long as it holds.
	Warn func(text string)
}

// Keeper keeps a good certificate in force. It is safe for concurrent use.
type Keeper struct {
	config Config
	walk   sync.Mutex // held while the store is looked at or changed; never while the authority is asked
	store  store
	asking chan struct{} // holds one token of whoever talks to the authority
	wake   chan struct{}

	publishing sync.Mutex // over the file with the metrics

	mu    sync.Mutex // over what follows; never held while anything else is called
	state state
	said  map[string]time.Time    // warnings that hold, and since when
	stop  context.CancelCauseFunc // ends the request under way
}

// state is what is known between two looks at the store.
type state struct {
	wish       Wish
	wished     bool
	inForce    *generation
	own        *generation // that the authority would renew
	ended      *generation // the newest that was for the domain and has expired
	chosen     bool        // a person gave the one in force
	passedOver error       // why what the environment supplies is not used
	attempts   attempts
	advice     advice
	imports    int // how often an operator has imported one
}

// due is when the authority is to be asked, failures not counted.
func (s state) due(now time.Time) time.Time {
	return due(s.wish, s.inForce, s.own, s.chosen, s.advice, now)
}

// failures is the count for what is wished now.
func (s state) failures(now time.Time) attempts { return s.attempts.of(askedFor(s.wish), now) }

// New answers a Keeper. It only looks at the host.
func New(c Config) *Keeper {
	return &Keeper{
		config: c, store: store{c.System}, asking: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		state: state{attempts: loadAttempts(c.System)}, said: map[string]time.Time{},
	}
}

var errNoName = remedy.With(errors.New("cannot keep a certificate: the site has no name"), "set appliance.domain")

// Wish says what is wanted from now on. It changes nothing on the host; a certificate at hand that fits is in force at once.
func (k *Keeper) Wish(w Wish) {
	k.walk.Lock()
	defer k.walk.Unlock()
	k.want(w)
	v, err := k.store.look()
	if err != nil {
		return // Ensure says so
	}
	if c, passedOver := choose(v, w, k.config.System.Now()); c.have != nil {
		k.see(v, c, passedOver)
	}
}

// Ensure puts the best certificate that can be had without a network in force. It has no effects when that is so already.
func (k *Keeper) Ensure(ctx context.Context, w Wish) (Certificate, error) {
	if err := ctx.Err(); err != nil {
		return Certificate{}, err
	}
	k.walk.Lock()
	defer k.walk.Unlock()
	k.want(w)
	return k.settle(w, nil)
}

// Missing says what Ensure would do, or "" if it had nothing to do. It changes nothing.
func (k *Keeper) Missing(w Wish) (why string, err error) {
	if len(w.Names) == 0 {
		return "", errNoName
	}
	k.walk.Lock()
	defer k.walk.Unlock()
	v, err := k.store.look()
	if err != nil {
		return "", err
	}
	places, err := k.store.strangers()
	if len(places) > 0 || err != nil {
		return "the files of another program are taken over", err
	}
	c, _ := choose(v, w, k.config.System.Now())
	return v.why(c), nil
}

// Import puts a pair of an operator's own in force, if it is good for the site.
func (k *Keeper) Import(ctx context.Context, key, chain []byte) (Certificate, error) {
	if err := ctx.Err(); err != nil {
		return Certificate{}, err
	}
	k.walk.Lock()
	defer k.walk.Unlock()
	s := k.snapshot()
	if !s.wished {
		return Certificate{}, errNotYet
	}
	if _, err := Parse(key, chain, s.wish.Names, k.config.System.Now()); err != nil {
		return Certificate{}, err
	}
	if s.suppliedInForce() {
		return Certificate{}, remedy.With(errors.New("cannot import a certificate: the environment supplies one, which comes first"),
			"take appliance.ssl.key and appliance.ssl.cert out of the environment")
	}
	p, err := decode(key, chain)
	if err != nil {
		return Certificate{}, err
	}
	p.Source = Imported
	k.update(func(s *state) { s.imports++ })
	if s.inForce != nil && s.inForce.same(p) {
		return s.inForce.Certificate, nil
	}
	return k.settle(s.wish, &addition{pair: p})
}

var errNotYet = remedy.Passing(remedy.With(errors.New("cannot do this yet: the appliance has not got to its certificate"), "try again in a minute"))

func (s state) suppliedInForce() bool {
	return s.chosen && s.inForce != nil && s.inForce.Source == Supplied
}

// Status says how the certificate is doing.
func (k *Keeper) Status() Status {
	now, s := k.config.System.Now(), k.snapshot()
	status := Status{RenewAt: s.due(now)}
	if s.inForce != nil {
		status.Certificate = s.inForce.Certificate
	}
	if failures := s.failures(now); s.wish.ACME != nil {
		status.Tries, status.LastError, status.NextTry = failures.Tries, failures.Error, failures.Next
	}
	for _, w := range warnings(s, now) {
		status.Warnings = append(status.Warnings, w.String())
	}
	return status
}

// snapshot is what is known now.
func (k *Keeper) snapshot() state {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// update changes what is known.
func (k *Keeper) update(change func(*state)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.state)
}

// want notes a wish. A request for something else that is under way has become pointless.
func (k *Keeper) want(w Wish) {
	w.Names = slices.Clone(w.Names)
	if w.ACME != nil {
		settings := *w.ACME
		w.ACME = &settings
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop != nil && askedFor(w) != askedFor(k.state.wish) {
		k.stop(errChanged)
	}
	k.state.wish, k.state.wished = w, true
	k.rouse()
}

// rouse lets Run look again now.
func (k *Keeper) rouse() {
	select {
	case k.wake <- struct{}{}:
	default: // it will
	}
}
