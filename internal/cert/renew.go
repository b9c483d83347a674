package cert

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"appliance/internal/cert/acme"
	"appliance/internal/remedy"
)

const (
	longestSleep  = time.Hour        // a host may be suspended meanwhile, or its clock set
	askingLimit   = 15 * time.Minute // for one certificate, waiting for DNS not counted
	stoppedDelay  = time.Minute
	shortestSleep = time.Second
)

var errChanged = errors.New("the environment has changed meanwhile")

// Run keeps the certificate good until ctx ends: it looks at least once an hour, asks the authority when it is time, and
// says what fails.
func (k *Keeper) Run(ctx context.Context) error {
	k.tidy()
	if a := k.snapshot().attempts; a.torn {
		k.config.Warn(fmt.Sprintf("The record of failed renewals in %s is damaged; the next try is not before %s", attemptsPath, day(a.Next)))
	}
	for {
		timer := time.NewTimer(k.turn(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-k.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// tidy takes away what writes that were cut off have left beside single files.
func (k *Keeper) tidy() {
	select {
	case k.asking <- struct{}{}:
	default:
		return // somebody is at it
	}
	defer func() { <-k.asking }()
	k.walk.Lock()
	defer k.walk.Unlock()
	k.publishing.Lock()
	defer k.publishing.Unlock()
	k.config.System.Tidy(attemptsPath, dhPath, metricsPath)
}

// turn looks once, asks where it is time, and says how long there is nothing to do.
func (k *Keeper) turn(ctx context.Context) time.Duration {
	if !k.snapshot().wished {
		return longestSleep
	}
	if err := k.resettle(); err != nil {
		k.config.Log.Error("cannot keep the certificate in order", "err", err, "remedy", remedy.Of(err))
		return max(firstDelay, k.untilNext())
	}
	select {
	case k.asking <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	defer func() { <-k.asking }()
	if err := k.mendCount(); err != nil {
		k.config.Log.Warn("cannot mend the record of failed renewals", "err", err)
	}
	k.consult(ctx)
	if wait := k.untilNext(); wait > 0 {
		return wait
	}
	if _, err := k.ask(ctx, false); err != nil && ctx.Err() == nil && !errors.Is(err, errChanged) {
		k.config.Log.Warn("cannot renew the certificate", "err", err, "remedy", remedy.Of(err), "next_try", k.snapshot().attempts.Next)
	}
	return max(shortestSleep, k.untilNext())
}

// mendCount brings the record of failures in line with what a crash or a clock has left: a damaged one is written anew, so that the
// delay is not begun again by each start; one from the future is counted from now; one of a try whose certificate has been
// stored goes.
func (k *Keeper) mendCount() error {
	now, s := k.config.System.Now(), k.snapshot()
	a := s.failures(now)
	switch {
	case s.attempts.torn:
		a.For = askedFor(s.wish)
		return k.count(a)
	case a.For != "" && s.attempts.Last.After(now):
		return k.count(a)
	case a.Tries > 0 && s.own != nil && s.own.Source == Issued && !s.own.made.Before(a.Last):
		return k.count(attempts{})
	}
	return nil
}

func (k *Keeper) resettle() error {
	k.walk.Lock()
	defer k.walk.Unlock()
	_, err := k.settle(k.snapshot().wish, nil)
	return err
}

// untilNext is how long the authority is not to be asked, bounded by when to look again: the end of what is in force is one
// such moment.
func (k *Keeper) untilNext() time.Duration {
	now, s := k.config.System.Now(), k.snapshot()
	look := longestSleep
	if s.inForce != nil && s.inForce.NotAfter.After(now) {
		look = min(look, s.inForce.NotAfter.Sub(now))
	}
	at := s.due(now)
	if at.IsZero() {
		return look
	}
	if next := s.failures(now).Next; next.After(at) {
		at = next
	}
	return min(look, at.Sub(now))
}

// Renew asks the authority for a new certificate now, whenever it would be due, and waits for the outcome. An imported one makes way
// for it.
func (k *Keeper) Renew(ctx context.Context) (Certificate, error) {
	select {
	case k.asking <- struct{}{}:
	case <-ctx.Done():
		return Certificate{}, ctx.Err()
	}
	defer func() { <-k.asking; k.rouse() }()
	s := k.snapshot()
	switch {
	case !s.wished:
		return Certificate{}, errNotYet
	case s.wish.ACME == nil:
		return Certificate{}, remedy.With(errors.New("cannot renew the certificate: no authority may be asked"),
			"set appliance.ssl.letsencrypt.enabled, or import a certificate")
	case s.suppliedInForce():
		return Certificate{}, remedy.With(errors.New("cannot renew the certificate: the environment supplies it"),
			"put a newer one into appliance.ssl.key and appliance.ssl.cert")
	}
	return k.ask(ctx, true)
}

// ask gets a certificate from the authority and puts it in force. It holds the token of asking. The try is counted before
// it is made.
func (k *Keeper) ask(ctx context.Context, forced bool) (Certificate, error) {
	s, now := k.snapshot(), k.config.System.Now()
	what := askedFor(s.wish)
	try := s.attempts.begin(what, now)
	if err := try.save(k.config.System); err != nil { // what came could not be kept either
		k.update(func(s *state) { s.attempts = try.failed(err, now) })
		return Certificate{}, fmt.Errorf("cannot ask for a certificate: %w", err)
	}
	asking, done := k.begin(ctx, *s.wish.ACME, what)
	defer done()
	issued, err := k.config.Authority(*s.wish.ACME).Obtain(asking, s.wish.Names, s.replaced())
	if err != nil {
		return Certificate{}, k.refused(ctx, asking, s.attempts, try, err)
	}
	c, err := k.accept(s, issued, forced)
	if err != nil {
		return Certificate{}, k.refused(ctx, ctx, s.attempts, try, err)
	}
	if err := k.count(attempts{}); err != nil {
		k.config.Log.Warn("cannot forget failed renewals", "err", err) // the next look does it
	}
	k.publish()
	k.config.Log.Info("the authority has issued a certificate", "certificate", c)
	return c, nil
}

// begin bounds a request, and lets a change of the wish end it.
func (k *Keeper) begin(ctx context.Context, settings acme.Settings, what string) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, askingLimit+2*settings.DNS.Propagation)
	ctx, stop := context.WithCancelCause(ctx)
	k.mu.Lock()
	k.stop = stop
	if askedFor(k.state.wish) != what {
		stop(errChanged)
	}
	k.mu.Unlock()
	return ctx, func() {
		k.mu.Lock()
		k.stop = nil
		k.mu.Unlock()
		stop(nil)
		cancel()
	}
}

// refused notes a failure. A stop from outside, or of what is no longer wanted, is none, but keeps a loop of stops from asking
// without a pause.
func (k *Keeper) refused(ctx, asking context.Context, before, try attempts, err error) error {
	now := k.config.System.Now()
	after := try.failed(err, now)
	if errors.Is(context.Cause(asking), errChanged) {
		err, after = errChanged, before
	} else if ctx.Err() != nil {
		after = before.of(try.For, now)
		after.For, after.Last, after.Error = try.For, now, before.Error
		if soon := now.Add(stoppedDelay); after.Next.Before(soon) {
			after.Next = soon
		}
	}
	if countErr := k.count(after); countErr != nil {
		err = errors.Join(err, countErr)
	}
	k.warn()
	k.publish()
	return fmt.Errorf("cannot get a certificate: %w", err)
}

// count makes the failures durable, and known.
func (k *Keeper) count(a attempts) error {
	a.torn = false
	err := a.save(k.config.System)
	k.update(func(s *state) { s.attempts = a })
	return err
}

// accept stores what the authority has issued, if it is what it was asked for. That its time has not come yet is the fault of our
// clock. begun is what was known when it was asked: an operator who has imported one since wants that one.
func (k *Keeper) accept(begun state, issued acme.Issued, forced bool) (Certificate, error) {
	w := begun.wish
	p, err := decode(issued.Key, issued.Chain)
	if err == nil {
		err = refuse(p, w.Names, k.config.System.Now())
	}
	if err != nil {
		return Certificate{}, fmt.Errorf("the authority has issued what cannot be used: %w", err)
	}
	p.Source, p.Authority = Issued, w.ACME.Directory
	k.walk.Lock()
	defer k.walk.Unlock()
	s := k.snapshot()
	return k.settle(s.wish, &addition{p, forced && s.imports == begun.imports})
}

// replaced is the certificate that the authority gave before, or nil.
func (s state) replaced() *x509.Certificate {
	if s.own != nil && s.own.Source == Issued {
		return s.own.leaf
	}
	return nil
}
