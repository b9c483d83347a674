// Package nginx keeps the web server of a host going that answers visitors in place of the builtin front, as it did on
// hosts of the predecessor. It writes what nginx includes, the answers to challenges and the page for visitors, and makes
// nginx read them again; the server itself and its other configuration are the operator's.
package nginx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"appliance/internal/remedy"
	"appliance/internal/system"
)

// The files that nginx's configuration names; /app/etc is a link to /data/etc.
const (
	etc          = "/data/etc"
	IdentityFile = etc + "/server.identity"   // included in the server block of the site
	TemplateFile = etc + "/template.identity" // an operator's own, for IdentityFile
	goodFile     = IdentityFile + ".good"     // the last that nginx took
	loadedFile   = "/run/appliance/nginx-loaded"
)

// inputs are what nginx reads beside its configuration, and only when it is told to.
var inputs = []string{etc + "/server.cert.pem", etc + "/dhparam.pem", etc + "/cert/clients/bundle.pem"}

// Config says which nginx it is.
type Config struct {
	System *system.System
	// Test prints the whole configuration or says what is wrong with it, Reload makes it count, and Active fails when
	// nginx does not run. On the machine itself Debian's are the default; on a directory that stands for one nothing is run.
	Test, Reload, Active []string
}

// Server is the nginx of a host. It is safe for concurrent use; a host must have one Server only, as its files have one writer.
type Server struct {
	Config
	mu sync.Mutex // held by whoever writes
}

// New returns the nginx of the host.
func New(c Config) *Server {
	if c.System.Real() && c.Test == nil {
		// -e: on standard error the last line only says that there was an error before it.
		c.Test = []string{"nginx", "-T", "-q", "-e", "/dev/stdout"}
		c.Reload = []string{"systemctl", "reload-or-restart", "nginx.service"}
		c.Active = []string{"systemctl", "is-active", "--quiet", "nginx.service"}
	}
	return &Server{Config: c}
}

// Missing says what nginx does not know yet; "" is nothing. It changes nothing.
func (s *Server) Missing(ctx context.Context, w Wish) (string, error) {
	identity, err := s.render(w)
	if err != nil {
		return "", err
	}
	have, err := s.read(IdentityFile)
	switch {
	case err != nil:
		return "", err
	case have == nil:
		return IdentityFile + " is not there", nil
	case !bytes.Equal(have, identity):
		return IdentityFile + " differs", nil
	case s.Test == nil:
		return "", nil
	}
	if loaded, err := s.read(loadedFile); err != nil || string(loaded) != s.fingerprint(identity) {
		return "nginx has not read the certificate and its other files yet", err
	}
	if _, err := s.System.Query(ctx, s.Active...); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "nginx does not run", nil
	}
	return "", nil
}

// Apply writes the identity and makes nginx read it and the files it names. When nginx does not take it, the identity
// before is put back and nginx is left as it is: the error carries nginx's reason. Where nothing is missing nothing is done.
func (s *Server) Apply(ctx context.Context, w Wish) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why, err := s.Missing(ctx, w); err != nil || why == "" { // another may have been quicker
		return err
	}
	identity, err := s.render(w)
	if err != nil {
		return err
	}
	before, err := s.place(identity)
	if err != nil || s.Test == nil {
		return err
	}
	loaded := s.fingerprint(identity) // before it is read: what changes from here on has to be read again
	dump, err := s.test(ctx)
	if err != nil {
		return errors.Join(err, s.putBack(before))
	}
	if !includes(dump) {
		return remedy.With(fmt.Errorf("cannot show the site: nginx does not read %s", IdentityFile),
			"put `include /app/etc/server.identity;` into the server block of the site; /usr/share/doc/appliance/examples/nginx-site.conf is a whole one")
	}
	if err := s.write(goodFile, identity); err != nil {
		return err
	}
	if _, err := s.System.Command(ctx, s.Reload...); err != nil {
		return remedy.Passing(remedy.With(fmt.Errorf("cannot make nginx read its configuration: %w", err), "see `systemctl status nginx` and `journalctl -u nginx`"))
	}
	return s.System.WriteFile(loadedFile, []byte(loaded), 0o644)
}

// place writes the identity and answers what to go back to; nil is nothing. That is on disk before, so that a cut right
// after does not leave a host with an identity that nginx does not take and no other.
func (s *Server) place(identity []byte) (before []byte, err error) {
	have, err := s.read(IdentityFile)
	if err != nil {
		return nil, err
	}
	if before, err = s.read(goodFile); err != nil {
		return nil, err
	}
	if before == nil && have != nil {
		before = have // of the predecessor, or of an operator
		if err := s.write(goodFile, have); err != nil {
			return nil, err
		}
	}
	return before, s.write(IdentityFile, identity)
}

func (s *Server) putBack(before []byte) error {
	if before == nil {
		return s.System.Remove(IdentityFile)
	}
	return s.write(IdentityFile, before)
}

// test answers the whole configuration as nginx reads it.
func (s *Server) test(ctx context.Context) (string, error) {
	out, err := s.System.Command(ctx, s.Test...)
	if i := slices.Index(s.Test, "-e"); err != nil && i > 0 && strings.Contains(err.Error(), "invalid option") { // before 1.19.5: Ubuntu 22.04, Debian 11
		out, err = s.System.Command(ctx, s.Test[:i]...)
	}
	if err == nil {
		return out, nil
	}
	if why := complaint(out); why != "" {
		return "", remedy.With(fmt.Errorf("cannot use the configuration of nginx: %s: %w", why, err),
			"mend what nginx complains about; `nginx -t` tells whether it is content")
	}
	return "", remedy.With(fmt.Errorf("cannot have nginx test its configuration: %w", err), "install nginx and see what `nginx -t` says, or set appliance.front to builtin")
}

// complaint is the line in nginx's log that says what was wrong, without time and process.
func complaint(log string) string {
	for line := range strings.Lines(log) {
		for _, level := range []string{"[emerg]", "[alert]", "[crit]"} {
			if _, text, found := strings.Cut(line, level); found {
				if _, rest, found := strings.Cut(text, "#"); found {
					_, text, _ = strings.Cut(rest, ": ")
				}
				return strings.TrimSpace(text)
			}
		}
	}
	return ""
}

// includes says whether the identity is part of the configuration that nginx printed: it names each file in a comment.
func includes(dump string) bool {
	for line := range strings.Lines(dump) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "# configuration file ")
		if ok && path.Base(strings.TrimSuffix(name, ":")) == path.Base(IdentityFile) {
			return true
		}
	}
	return false
}

// fingerprint tells one state of everything that nginx reads from another.
func (s *Server) fingerprint(identity []byte) string {
	hash := sha256.New()
	hash.Write(identity)
	for _, file := range inputs {
		data, err := s.System.ReadFile(file)
		fmt.Fprintf(hash, "\n%s %d %t\n", file, len(data), err == nil)
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil)) + "\n"
}

// read reads a file of our own; nil is none.
func (s *Server) read(name string) ([]byte, error) {
	data, err := s.System.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return append([]byte{}, data...), nil
}

// write writes a file for nginx, unless it is so already.
func (s *Server) write(name string, data []byte) error {
	if have, err := s.System.ReadFile(name); err == nil && bytes.Equal(have, data) {
		return nil
	}
	return s.System.WriteFile(name, data, 0o644)
}
