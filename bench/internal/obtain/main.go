// Command obtain gets one certificate as the appliance gets them, so that whole processes can be measured beside other
// ACME clients: it makes an account, answers http-01 and writes the pair.
//
//	obtain DIRECTORY-URL CA-BUNDLE ADDRESS DIR NAME
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"appliance/internal/cert/acme"
	"appliance/internal/system"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := obtain(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "obtain: %v\n", err)
		os.Exit(1)
	}
}

func obtain(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return errors.New("cannot go on without five arguments: DIRECTORY-URL CA-BUNDLE ADDRESS DIR NAME")
	}
	directory, address, dir, name := args[0], args[2], args[3], args[4]
	bundle, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	answers := &answers{byToken: map[string]string{}}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: answers, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // it ends with the process
	sys := system.New(system.Config{Root: "/"})
	client := acme.New(acme.Config{
		Settings: acme.Settings{Directory: directory, CABundle: string(bundle), Email: "bench@example.org", KeyType: "ec256", Challenge: "http-01"},
		System:   sys, Dir: filepath.Join(dir, "account"), Responder: answers, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	issued, err := client.Obtain(ctx, []string{name}, nil)
	if err != nil {
		return err
	}
	return errors.Join(
		sys.WriteFile(filepath.Join(dir, "key.pem"), issued.Key, 0o600),
		sys.WriteFile(filepath.Join(dir, "chain.pem"), issued.Chain, 0o644))
}

// answers are what the authority may fetch.
type answers struct {
	mu      sync.Mutex
	byToken map[string]string
}

func (a *answers) ShowHTTP(_ context.Context, token, keyAuthorization string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byToken[token] = keyAuthorization
	return nil
}

func (a *answers) HideHTTP(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byToken, token)
}

func (a *answers) ShowALPN(context.Context, string, []byte, []byte) error {
	return errors.New("cannot answer by TLS")
}

func (a *answers) HideALPN(string) {}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	answer, ok := a.byToken[filepath.Base(r.URL.Path)]
	a.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, answer) // the authority asks again if it does not arrive
}
