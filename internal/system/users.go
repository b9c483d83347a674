package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is one that has something open.
type Process struct {
	PID  int
	Name string
	Path string // what it has open, as it is called below the root
}

func (p Process) String() string { return fmt.Sprintf("%s (PID %d) has %s", p.Name, p.PID, p.Path) }

// UsersBelow lists processes other than ours that have a file or directory at path or below it open, as their working
// directory, as their root, or as their program: one of each process. Those of other users can only be seen by root.
func (s *System) UsersBelow(path string) ([]Process, error) {
	top, err := s.RealPath(path)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	var users []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if rest, ok := opensBelow(pid, top); ok {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // it may have ended since
			users = append(users, Process{PID: pid, Name: strings.TrimSpace(string(name)), Path: filepath.Join(path, rest)})
		}
	}
	return users, nil
}

// opensBelow looks for something below top that a process has open. A process that ends meanwhile has nothing.
func opensBelow(pid int, top string) (rest string, ok bool) {
	dir := fmt.Sprintf("/proc/%d", pid)
	links := []string{dir + "/cwd", dir + "/root", dir + "/exe"}
	files, _ := os.ReadDir(dir + "/fd") // not ours to see, or gone
	for _, file := range files {
		links = append(links, dir+"/fd/"+file.Name())
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue
		}
		if rest, ok := within(strings.TrimSuffix(target, " (deleted)"), top); ok {
			return rest, true
		}
	}
	return "", false
}
