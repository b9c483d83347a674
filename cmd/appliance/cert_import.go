package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"appliance/internal/remedy"
)

func newCertImport(a *app) *cobra.Command {
	var keyName, chainName string
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Put a key and a certificate of your own into place",
		Long: `import hands a key and its certificate, with those of the authorities between, to the supervisor, which checks them and shows
them to visitors from then on, without a restart. They are used until they expire or the environment supplies others.
Without --key, the key is in the same file as the certificate. - is standard input.`,
		Example: "  appliance cert import --key key.pem --cert chain.pem\n  ssh ca.example.org cat box.pem | appliance cert import --cert -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, chain, err := a.readPair(keyName, chainName)
			if err != nil {
				return err
			}
			c, err := a.client().ImportCertificate(cmd.Context(), key, chain)
			if err != nil {
				return explainAway(err)
			}
			return printCertificate(a.out, c, a.system().Now())
		},
	}
	cmd.Flags().StringVar(&keyName, "key", "", "`file` with the private key, as PEM")
	cmd.Flags().StringVar(&chainName, "cert", "", "`file` with the certificate and its chain, as PEM")
	_ = cmd.MarkFlagFilename("key", "pem", "key") // fails only for a flag that is not there
	_ = cmd.MarkFlagFilename("cert", "pem", "crt", "cer")
	_ = cmd.MarkFlagRequired("cert")
	return cmd
}

// readPair reads a key and a chain from their files, or from one that has both.
func (a *app) readPair(keyName, chainName string) (key, chain []byte, err error) {
	if chain, err = a.readPEM(chainName); err != nil {
		return nil, nil, err
	}
	if key = chain; keyName != "" && keyName != chainName {
		if key, err = a.readPEM(keyName); err != nil {
			return nil, nil, err
		}
	}
	if key = blocksOf(key, isKey); len(key) == 0 {
		return nil, nil, remedy.With(fmt.Errorf("cannot find a private key in %s", orStdin(keyName, chainName)), "name the file with the key by --key")
	}
	if chain = blocksOf(chain, func(kind string) bool { return kind == "CERTIFICATE" }); len(chain) == 0 {
		return nil, nil, remedy.With(fmt.Errorf("cannot find a certificate in %s", orStdin(chainName)), "name the file with the certificate by --cert")
	}
	return key, chain, nil
}

func isKey(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") }

// blocksOf keeps the PEM blocks of the wanted kinds: a key must not get to where certificates are kept.
func blocksOf(text []byte, wanted func(kind string) bool) (kept []byte) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return kept
		}
		if wanted(block.Type) {
			kept = append(kept, pem.EncodeToMemory(block)...)
		}
	}
}

// maxPEM bounds one file: the longest chains have some kilobytes.
const maxPEM = 1 << 20

// readPEM reads a file, and says so when others could read a key in it.
func (a *app) readPEM(name string) ([]byte, error) {
	from := a.in
	var mode os.FileMode
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			mode = info.Mode().Perm()
		}
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, maxPEM+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", orStdin(name), err)
	case len(data) > maxPEM:
		return nil, remedy.With(fmt.Errorf("cannot read %s: it has more than %d bytes", orStdin(name), maxPEM), "check that it is the right file")
	case !bytes.Contains(data, []byte("-----BEGIN ")):
		return nil, remedy.With(fmt.Errorf("cannot read %s: %w", orStdin(name), errNotPEM), "convert it, with `openssl x509 -inform der` or `openssl pkcs12 -nodes`")
	}
	if mode&0o077 != 0 && len(blocksOf(data, isKey)) > 0 {
		fmt.Fprintf(a.err, "Warning: others can read the key in %s (mode %04o). Once it is imported, delete the file or run `chmod 600 %[1]s`.\n", name, mode)
	}
	return data, nil
}

var errNotPEM = errors.New("it is no PEM text")

// orStdin is the first name that is one, as people call it.
func orStdin(names ...string) string {
	for _, name := range names {
		switch name {
		case "":
		case "-":
			return "standard input"
		default:
			return name
		}
	}
	return "standard input"
}
