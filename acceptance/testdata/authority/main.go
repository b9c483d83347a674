// Command authority runs an ACME authority on a machine: it looks for answers to challenges on the machine's own port 80,
// under whatever name, and writes into the directory it is given what its certificates are checked with.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"appliance/internal/cert/acme/acmetest"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, dir string) error {
	ca, err := acmetest.Start(acmetest.Options{HTTPPort: 80, TLSPort: 443, Address: address})
	if err != nil {
		return err
	}
	defer ca.Close()
	for name, text := range map[string]string{"bundle.pem": ca.CABundle, "root.pem": ca.RootCA, "directory": ca.DirectoryURL} {
		if err := os.WriteFile(filepath.Join(dir, name+".new"), []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	return nil
}
