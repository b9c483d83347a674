package system

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Child is a program to run beside us.
type Child struct {
	Path  string     // of the program
	Args  []string   // with its name
	Env   []string   // all of its environment
	Files []*os.File // its descriptors from 0 on
	Owner int        // numeric user it runs as; -1: ours
	Group int        // numeric group it runs as, and no other; only with an Owner
}

// Spawn starts a child and does not wait for it. It stays in our process group, and nothing of ours is open in it but Files, as
// package os opens all files to be closed by an exec. What a program has inherited is for its start to see to.
func (s *System) Spawn(c Child) (*os.Process, error) {
	if err := s.Observe("exec", strings.Join(c.Args, " ")); err != nil {
		return nil, err
	}
	attr := &os.ProcAttr{Dir: "/", Env: c.Env, Files: c.Files, Sys: &syscall.SysProcAttr{}}
	if c.Owner >= 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(c.Owner), Gid: uint32(c.Group)}
	}
	process, err := os.StartProcess(c.Path, c.Args, attr)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.Args[0], err)
	}
	return process, nil
}
