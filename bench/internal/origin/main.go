// Command origin is the application behind the fronts that are measured: it answers everything with 1 kB, below /slow/ in
// two halves with a while between them. It listens at the address given, as in a container. Without one it prints its address
// and ends with its standard input.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// pause is how long an answer below /slow/ stays half done.
const pause = 200 * time.Millisecond

func main() {
	address := "127.0.0.1:0"
	if len(os.Args) > 1 {
		address = os.Args[1]
	} else {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that matters
			os.Exit(0)
		}()
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		slog.Error("cannot listen", "err", err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: handler(), ReadHeaderTimeout: time.Minute}
	slog.Error("cannot serve", "err", server.Serve(listener))
	os.Exit(1)
}

func handler() http.Handler {
	answer := bytes.Repeat([]byte("0123456789abcdef"), 64)
	header := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		header(w)
		_, _ = w.Write(answer) // who has gone does not matter
	})
	mux.HandleFunc("/slow/", func(w http.ResponseWriter, r *http.Request) {
		header(w)
		half := len(answer) / 2
		_, _ = w.Write(answer[:half])
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(pause):
		}
		_, _ = w.Write(answer[half:])
	})
	return mux
}
