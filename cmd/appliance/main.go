// Command appliance turns a Linux host with a container engine into a self-updating appliance.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args, stdio{os.Stdin, os.Stdout, os.Stderr}, nil))
}
