// Command flatyaml prints a YAML document as shell variables, as the program of this name did that came before.
package main

import (
	"os"
	"runtime/debug"

	"appliance/env/flat"
)

func main() {
	debug.SetGCPercent(-1) // it has ended before collecting pays, unless the document is one of the largest
	debug.SetMemoryLimit(128 << 20)
	os.Exit(flat.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
