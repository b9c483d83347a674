package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"appliance/internal/system"
	"appliance/phases"
	"appliance/storage/vault"
)

func newVault(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vault",
		Short: "Look after the keys and the documents of the storage vault",
		Long: `vault tells of the OpenPGP keys with which the application seals its documents, makes new ones, opens and checks the
documents, and seals and opens files as the application does. It needs no gpg.`,
		Example: "  appliance vault status\n  appliance vault verify\n  appliance vault open document.gpg document.pdf",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newVaultStatus(a), newVaultExport(a), newVaultRotate(a), newVaultVerify(a), newVaultSeal(a), newVaultOpen(a))
	return cmd
}

func (a *app) vaultHome() vault.Home { return vault.Home{System: a.system().Reader()} }

func newVaultStatus(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell which keys there are, and whether home and environment agree",
		Long: `status lists the keys that seal documents, with their fingerprints and expiry, and those that old documents need.
The exit status is 0 when all is well or the environment has no vault, and 3 when the home differs from the environment, a key cannot be used,
or one that seals has expired.`,
		Example: "  appliance vault status\n  appliance vault status --json | jq -r '.keys[] | select(.use != \"retired\").fingerprint'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := phases.VaultStatus(cmd.Context(), a.config())
			if err != nil {
				return err
			}
			now := a.system().Now()
			if asJSON {
				err = a.printJSON(s)
			} else {
				err = printVault(a.out, s, now)
			}
			if err == nil && vaultTroubled(s, now) {
				return troubled
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

func vaultTroubled(s vault.Status, now time.Time) bool {
	for _, k := range s.Keys {
		if k.Use != vault.UseRetired && k.Expires != nil && !now.Before(*k.Expires) {
			return true
		}
	}
	return s.State == vault.StateDiffers || s.State == vault.StateRefused
}

func printVault(w io.Writer, s vault.Status, now time.Time) error {
	says := map[string]string{
		vault.StateNone:    "the environment has no storage vault",
		vault.StateGood:    "good: home and environment agree",
		vault.StateDiffers: "differs: " + s.Why + "; the next start mends it",
		vault.StateRefused: "refused: " + s.Why,
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(table, "vault\t%s\nhome\t%s\n", says[s.State], s.Home)
	for _, k := range s.Keys {
		until := "never expires"
		if k.Expires != nil {
			until = "expires " + k.Expires.Format(time.DateOnly)
			if !now.Before(*k.Expires) {
				until = "expired " + k.Expires.Format(time.DateOnly)
			}
		}
		where := ""
		if !k.InEnv {
			where = ", in the home alone"
		}
		fmt.Fprintf(table, "%s\t%s  %s\n\t%s, made %s, %s%s\n", k.Use, k.Fingerprint, printable(strings.Join(k.UserIDs, ", ")), k.Algorithm, k.Created.Format(time.DateOnly), until, where)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(table, "warning\t%s\n", warning)
	}
	return table.Flush()
}

func newVaultExport(a *app) *cobra.Command {
	var retired bool
	var missing string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the public keys",
		Long: `export prints the public keys that documents are sealed with, in ASCII armor, for whoever wants to seal for this host or check what comes from it.
--missing writes the secret keys that this host has and its environment lacks to a new file (a path of the machine itself, with --root too), readable by you alone,
as they are to be put into ecs.vault_retired.`,
		Example: "  appliance vault export > vault-keys.asc\n  appliance vault export --missing retired.yml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if missing != "" {
				return a.exportMissing(cmd.Context(), missing)
			}
			return a.vaultHome().Export(a.out, retired)
		},
	}
	cmd.Flags().BoolVar(&retired, "retired", false, "also those that only old documents need")
	cmd.Flags().StringVar(&missing, "missing", "", "write what the environment lacks to this new `file`")
	cmd.MarkFlagsMutuallyExclusive("retired", "missing")
	return cmd
}

func (a *app) exportMissing(ctx context.Context, name string) error {
	if err := mayWriteNew(name); err != nil {
		return err
	}
	text, err := phases.MissingVaultKeys(ctx, a.config())
	if err != nil {
		return err
	}
	if text == nil {
		_, err = fmt.Fprintln(a.out, "Nothing is missing: the environment has every key of the vault that this host has.")
		return err
	}
	if err := a.writeNew(name, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s says what to put into the environment. Delete it afterwards.\n", name)
	return err
}

// stayLean gives back what the start of the program took, and keeps the heap as small as what is in use: documents may be large, and hosts small.
func stayLean() {
	_ = system.FreeProgram() // without it, it is only more memory
	const percent = 20       // of garbage beside what is in use
	debug.SetGCPercent(percent)
}

// machineFiles is where the files lie that an operator names: on the machine itself, with --root too.
func (a *app) machineFiles() *system.System { return system.New(system.Config{Observe: a.observe}) }
