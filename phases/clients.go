package phases

import (
	"context"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"appliance/env"
	"appliance/internal/cert/clientca"
	"appliance/internal/front"
	"appliance/internal/remedy"
)

func (w *walk) clientsMissing(context.Context) (string, error) {
	return clientca.Files{System: w.sys}.Missing()
}

// makeClients puts placeholders where the application has written no authority for visitors' certificates yet.
func (w *walk) makeClients(context.Context) error {
	return remedy.With(clientca.Files{System: w.sys}.Dummy(), "make "+clientca.Dir+" writable and free space on it")
}

// clientsPause is how often the files of the application are read without a word of the kernel that they have changed: a
// list of revoked certificates grows old by itself.
const clientsPause = time.Hour

// settleClients is how long the files must rest before they are read: an authority and its list are written one after
// the other. If somebody writes there all the time, they are read after restlessClients.
const (
	settleClients   = 200 * time.Millisecond
	restlessClients = 5 * time.Second
)

// followClients keeps what certificates of visitors are checked with as the application says.
func (v *visitors) followClients(ctx context.Context) {
	warned := v.warned
	for ctx.Err() == nil {
		watch, err := watchDir(v.a.cfg.System, clientca.Dir) // before the look: no change is missed
		if err != nil {
			watch = nil // not there yet; prepare-appliance makes it
		}
		warned = v.loadClients(warned)
		v.awaitClients(ctx, removals(watch))
		if watch != nil {
			watch.Close()
		}
	}
}

// awaitClients waits until the files may have changed. Without changes to hear of it looks for their directory soon.
func (v *visitors) awaitClients(ctx context.Context, changes <-chan fsnotify.Event) {
	again := time.After(clientsPause)
	if changes == nil {
		again = time.After(probePause)
	}
	var rests, restless <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			return
		case <-v.reread:
			return
		case <-rests:
			return
		case <-restless:
			return
		case <-changes:
			rests = time.After(settleClients)
			if restless == nil {
				restless = time.After(restlessClients)
			}
		}
	}
}

// loadClients reads the files and takes what is good into force. It says each thing that is wrong once, and answers all
// that it has said.
func (v *visitors) loadClients(warned []string) []string {
	files := clientca.Files{System: v.a.cfg.System}
	bundle, warnings := files.Load()
	var said []string
	for _, err := range warnings {
		text := err.Error()
		if todo := remedy.Of(err); todo != "" {
			text += "; to do: " + todo
		}
		if said = append(said, text); !slices.Contains(warned, text) {
			v.a.warn(text)
		}
	}
	v.mu.Lock()
	mode := v.site.Clients
	v.mu.Unlock()
	if bundle.Placeholder && mode == front.ClientsOptional {
		mode = front.ClientsNone // nobody can have one
	}
	if v.settled() { // before it counts: a web server of the host reads what is kept
		if err := files.Keep(bundle); err != nil {
			v.a.warn(err.Error())
		}
	}
	v.change(func() { v.state.Clients = front.Clients{Mode: mode, CAs: bundle.CAs, CRLs: bundle.CRLs} })
	return said
}

// settled says whether /data is known to be the right one: until then nothing is written there.
func (v *visitors) settled() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.walked
}

// external says whether a web server of the host receives visitors.
func (v *visitors) external() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mode == env.FrontExternal
}
