package acme

import (
	"context"
	"errors"
	"fmt"
	"time"

	lego "github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"appliance/internal/remedy"
)

const (
	firstPause   = 20 * time.Millisecond
	longestPause = 5 * time.Second
	politePause  = 30 * time.Second // the longest that Retry-After makes a poll wait
	badPolls     = 3                // in a row that a poll survives
)

// newOrder asks for a certificate. An authority that does not like what is to be replaced is asked once more without: it
// is a hint, and a renewal must not fail by it. lego does so itself for alreadyReplaced.
func (l *link) newOrder(ctx context.Context, names []string, replaces string) (lego.ExtendedOrder, error) {
	order, err := l.orderReplacing(ctx, names, replaces)
	var f *failure
	if replaces == "" || !errors.As(err, &f) || f.rateLimited() || f.status < 400 || f.kind == "accountDoesNotExist" {
		return order, err
	}
	return l.orderReplacing(ctx, names, "")
}

func (l *link) orderReplacing(ctx context.Context, names []string, replaces string) (lego.ExtendedOrder, error) {
	return ask(ctx, l.wire, func() (lego.ExtendedOrder, error) {
		return l.core.Orders.NewWithOptions(names, &api.OrderOptions{ReplacesCertID: replaces})
	})
}

// complete proves the names and fetches the certificate.
func (l *link) complete(ctx context.Context, s solver, order lego.ExtendedOrder, names []string) (Issued, error) {
	if order.Location == "" || order.Finalize == "" {
		return Issued{}, errors.New("the authority does not say where the order is")
	}
	proofs, err := l.wanted(ctx, order)
	if err != nil {
		return Issued{}, err
	}
	if err := l.prove(ctx, s, proofs); err != nil {
		return Issued{}, err
	}
	if err := l.ready(ctx, order); err != nil {
		return Issued{}, err
	}
	return l.finalize(ctx, order, names)
}

// wanted lists what is still to be proved for the order.
func (l *link) wanted(ctx context.Context, order lego.ExtendedOrder) ([]*proof, error) {
	var proofs []*proof
	for _, url := range order.Authorizations {
		authz, err := ask(ctx, l.wire, func() (lego.Authorization, error) { return l.core.Authorizations.Get(url) })
		if err != nil {
			return nil, err
		}
		if authz.Status == lego.StatusValid {
			continue
		}
		p := &proof{name: authz.Identifier.Value, authorization: url}
		for _, challenge := range authz.Challenges {
			if challenge.Type == l.Challenge {
				p.challenge, p.token = challenge.URL, challenge.Token
			}
		}
		if p.challenge == "" {
			return nil, remedy.With(fmt.Errorf("%s: the authority does not offer %s", p.name, l.Challenge), "set appliance.ssl.acme.challenge to another one")
		}
		if !isToken(p.token) {
			return nil, fmt.Errorf("%s: the token of the authority is none", p.name)
		}
		if p.keyAuthorization, err = l.core.GetKeyAuthorization(p.token); err != nil {
			return nil, fmt.Errorf("cannot answer the challenge: %w", err)
		}
		proofs = append(proofs, p)
	}
	return proofs, nil
}

// isToken says whether a token has the letters of base64url only (RFC 8555 section 8): it becomes part of a path.
func isToken(token string) bool {
	for _, r := range token {
		if !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
			return false
		}
	}
	return token != "" && len(token) <= 1024
}

// prove shows all answers, has the authority look at them, and takes them away whatever comes of it.
func (l *link) prove(ctx context.Context, s solver, proofs []*proof) error {
	if len(proofs) == 0 {
		return nil
	}
	defer l.clean(ctx, s, proofs)
	for _, p := range proofs {
		p.shown = true // to be taken away even if it is half done
		if err := s.show(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if err := s.settle(ctx, proofs); err != nil {
		return err
	}
	for _, p := range proofs {
		_, err := ask(ctx, l.wire, func() (lego.ExtendedChallenge, error) { return l.core.Challenges.New(p.challenge) })
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	var failed []error
	for _, p := range proofs {
		if err := l.validated(ctx, p); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(failed...)
}

// clean takes answers away; where the caller does not wait any more, all of them in a hurry.
func (l *link) clean(ctx context.Context, s solver, proofs []*proof) {
	calm := context.WithoutCancel(ctx)
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTooLong) {
		hurried, cancel := context.WithTimeout(calm, hurriedWithin)
		defer cancel()
		calm = hurried
	}
	for _, p := range proofs {
		if p.shown {
			l.hide(calm, s, p)
		}
	}
}

func (l *link) hide(ctx context.Context, s solver, p *proof) {
	ctx, cancel := context.WithTimeout(ctx, cleanWithin)
	defer cancel()
	if err := s.hide(ctx, p); err != nil {
		l.Log.Warn("an answer to the authority stays behind", "name", p.name, "error", l.presentable(err.Error()))
	}
}

// validated waits until the authority has looked.
func (l *link) validated(ctx context.Context, p *proof) error {
	return l.poll(ctx, func() (bool, error) {
		authz, err := ask(ctx, l.wire, func() (lego.Authorization, error) { return l.core.Authorizations.Get(p.authorization) })
		if err != nil {
			return false, err
		}
		switch authz.Status {
		case lego.StatusValid:
			return true, nil
		case lego.StatusPending, lego.StatusProcessing:
			return false, nil
		}
		for _, challenge := range authz.Challenges {
			if challenge.Error != nil {
				return false, l.unproved(challenge.Error)
			}
		}
		return false, fmt.Errorf("the authority calls it %q", authz.Status)
	})
}

// unproved tells why the authority does not believe an answer.
func (l *link) unproved(p *lego.ProblemDetails) error {
	err := problem(p, time.Time{})
	if remedy.Of(err) == "" {
		err = remedy.With(err, wayIn[l.Challenge])
	}
	return err
}

// ready waits until the order can be completed.
func (l *link) ready(ctx context.Context, order lego.ExtendedOrder) error {
	if order.Status == lego.StatusReady {
		return nil
	}
	return l.poll(ctx, func() (bool, error) {
		now, err := ask(ctx, l.wire, func() (lego.ExtendedOrder, error) { return l.core.Orders.Get(order.Location) })
		if err != nil {
			return false, err
		}
		return now.Status == lego.StatusReady, invalid(now)
	})
}

func invalid(order lego.ExtendedOrder) error {
	switch {
	case order.Status != lego.StatusInvalid:
		return nil
	case order.Error != nil:
		return problem(order.Error, time.Time{})
	}
	return errors.New("the authority calls the order invalid and does not say why")
}

// poll looks until it is done, an error, or the end of ctx. A moment of deafness on the way is none.
func (l *link) poll(ctx context.Context, look func() (done bool, err error)) error {
	bad := 0
	for pause := firstPause; ; pause = min(pause*2, longestPause) {
		done, err := look()
		if f := (*failure)(nil); errors.As(err, &f) && f.passing() && ctx.Err() == nil {
			if bad++; bad <= badPolls {
				done, err = false, nil
			}
		} else {
			bad = 0
		}
		if done || err != nil {
			return err
		}
		asked := l.wire.latestRetryAfter().Sub(l.wire.now())
		if err := sleep(ctx, max(pause, min(asked, politePause))); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
