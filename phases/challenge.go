package phases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"appliance/env"
	"appliance/internal/front"
)

var errNoFront = errors.New("nobody of ours answers visitors")

// ShowHTTP has the answer to a challenge of an authority shown. Where nobody of ours answers visitors it is a file, for
// whoever does.
func (v *visitors) ShowHTTP(ctx context.Context, token, keyAuthorization string) error {
	return v.challenge(ctx, func(all map[string]string) { all[token] = keyAuthorization })
}

// hideLimit bounds how long whoever asks an authority waits for a worker that does not answer: the state is told all the same.
const hideLimit = 10 * time.Second

// HideHTTP takes the answer away.
func (v *visitors) HideHTTP(token string) {
	v.mu.Lock()
	_, shown := v.state.Challenges[token]
	v.mu.Unlock()
	if !shown { // visitors are not received yet
		return
	}
	ctx, cancel := context.WithTimeout(v.a.ended, hideLimit)
	defer cancel()
	err := v.challenge(ctx, func(all map[string]string) { delete(all, token) })
	if err != nil && v.a.ended.Err() == nil {
		v.a.cfg.Log.Warn("the answer to a challenge stays", "err", err)
	}
}

func (v *visitors) challenge(ctx context.Context, alter func(all map[string]string)) error {
	if err := v.awaitOpen(ctx); err != nil {
		return err
	}
	v.mu.Lock()
	alter(v.state.Challenges)
	all, builtin := maps.Clone(v.state.Challenges), v.mode == env.FrontBuiltin && v.a.cfg.Front != nil
	v.submit()
	v.mu.Unlock()
	if builtin {
		return v.a.cfg.Front.Settle(ctx)
	}
	return v.server.Challenges(all)
}

// awaitOpen waits until the walk has come to where visitors are received: a challenge before that would be lost.
func (v *visitors) awaitOpen(ctx context.Context) error {
	select {
	case <-v.open:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot show the challenge: visitors are not received yet: %w", context.Cause(ctx))
	}
}

// ShowALPN has a challenge's certificate shown.
func (v *visitors) ShowALPN(ctx context.Context, name string, key, certificate []byte) error {
	if err := v.awaitOpen(ctx); err != nil {
		return err
	}
	v.mu.Lock()
	if v.mode != env.FrontBuiltin || v.a.cfg.Front == nil {
		v.mu.Unlock()
		return fmt.Errorf("cannot show the challenge tls-alpn-01: %w", errNoFront)
	}
	v.state.ALPN[name] = front.KeyPair{Key: key, Chain: certificate}
	v.submit()
	v.mu.Unlock()
	return v.a.cfg.Front.Settle(ctx)
}

// HideALPN takes the certificate away.
func (v *visitors) HideALPN(name string) { v.change(func() { delete(v.state.ALPN, name) }) }
