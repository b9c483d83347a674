// Command guest runs in a virtual machine and lets the host run commands there: one request, one command as root. The
// request's header says which, as a JSON array of arguments; its body is what the command reads.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"
)

func main() {
	http.HandleFunc("POST /run", run)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(":5000", nil))
	os.Exit(1)
}

// result is what became of a command. The code is 127, as a shell has it, when there is no such program.
type result struct {
	Stdout, Stderr []byte
	Code           int
}

func run(w http.ResponseWriter, r *http.Request) {
	var argv []string
	if err := json.Unmarshal([]byte(r.Header.Get("Argv")), &argv); err != nil || len(argv) == 0 {
		http.Error(w, fmt.Sprintf("no command: %v", err), http.StatusBadRequest)
		return
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(r.Context(), argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.Body, &out, &errOut
	cmd.WaitDelay = 10 * time.Second // for what it leaves in the background with its output open
	err := cmd.Run()
	code := 127
	if cmd.ProcessState != nil {
		code = cmd.ProcessState.ExitCode()
	} else {
		fmt.Fprintln(&errOut, err)
	}
	_ = json.NewEncoder(w).Encode(result{out.Bytes(), errOut.Bytes(), code}) // a host that has gone needs no answer
}
