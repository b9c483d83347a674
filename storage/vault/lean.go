package vault

import (
	"os"
	"slices"

	"appliance/internal/system"
)

// Documents are large and hosts may be small. The memory of a command is at its peak before its first line: by then the packages of all
// commands have been set up, and each page of the program that this has touched has brought its neighbours in. For those of the vault they are
// given back half-way, where this package has its turn; what is needed again comes back by itself, within a millisecond or two.
func init() {
	if slices.Contains(os.Args, "vault") {
		_ = system.FreeProgram() // without it, it is only more memory
	}
}
