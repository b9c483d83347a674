// Command printenv prints its environment, a NUL after each variable. It runs where nothing else is.
package main

import "os"

func main() {
	for _, v := range os.Environ() {
		os.Stdout.WriteString(v + "\x00")
	}
}
