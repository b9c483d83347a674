// Command metadata is a metadata service such as EC2's, in its second version: user-data is for those who show a token.
//
//	metadata ADDRESS DIR
//
// It answers on ADDRESS and hands out DIR/user-data, or answers 500 to everything while there is a file DIR/broken.
package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "metadata:", err)
		os.Exit(1)
	}
}

func serve(address, dir string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	return http.Serve(listener, service(dir, rand.Text()))
}

// ready tells systemd that what comes after may ask.
func ready() error {
	manager, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer manager.Close()
	_, err = manager.Write([]byte("READY=1"))
	return err
}

func service(dir, token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") == "" {
			http.Error(w, "no time to live", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, token)
	})
	mux.HandleFunc("GET /latest/user-data", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Aws-Ec2-Metadata-Token") != token {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		http.ServeFile(w, r, filepath.Join(dir, "user-data"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "EC2ws")
		if _, err := os.Stat(filepath.Join(dir, "broken")); err == nil {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
