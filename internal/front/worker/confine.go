package worker

import (
	"bytes"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine gives up what a process without rights could still get: other rights by a set-user-ID program, a look into its
// memory by others of its user, a file with its memory and so the private key in it after a crash, and the supervisor's
// precedence when the host runs out of memory.
func confine() error {
	const precedence = "/proc/self/oom_score_adj"                                             // root's alone once the memory is closed
	if now, err := os.ReadFile(precedence); err == nil && bytes.HasPrefix(now, []byte{'-'}) { // more would be somebody's wish
		_ = os.WriteFile(precedence, []byte("0"), 0) // it may serve without
	}
	_ = os.WriteFile("/proc/self/comm", []byte("appliance-front"), 0)                                                                     // for ps and top, which would show "exe"
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 && errno != syscall.ENOTSUP { // it is with cgo
		return fmt.Errorf("cannot give up new rights: %w", errno)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot close the memory to others: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot give up core files: %w", err)
	}
	return nil
}
