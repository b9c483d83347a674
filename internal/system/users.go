package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is one that has something in use. Without a PID it is the kernel: a mount, or a device.
type Process struct {
	PID   int
	Name  string
	Path  string // what it uses, as it is called below the root
	Mount bool   // it sees Path by a mount of its own, wherever that is called by now
}

func (p Process) String() string {
	if p.PID == 0 {
		return fmt.Sprintf("%s has %s", p.Name, p.Path)
	}
	return fmt.Sprintf("%s (PID %d) has %s", p.Name, p.PID, p.Path)
}

// UsersBelow lists who has a file or directory at path or below it in use: processes other than ours, one entry each, that have it open
// or mapped, as their working directory, as their root, or as their program; mounts of it elsewhere, also those that only a container
// sees; devices and swap made of a file. What belongs to other users can only be seen by root.
func (s *System) UsersBelow(path string) ([]Process, error) {
	top, err := s.RealPath(path)
	if err != nil {
		return nil, err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	own := mountsIn(string(table))
	on, found := deepest(own, top)
	if !found {
		return nil, fmt.Errorf("cannot tell what %s is mounted from: the kernel lists nothing", path)
	}
	l := lookout{path: path, top: top, device: on.device, inside: on.inside(top), views: map[string][]Mount{view("self"): own}}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	l.kernel(own)
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != os.Getpid() {
			l.process(entry.Name(), pid)
		}
	}
	return l.users, nil
}

// lookout looks for users of a directory. Each may see it by a name of its own: what counts is where that lies in the file system.
type lookout struct {
	path   string             // of the directory, below the root
	top    string             // as we see it
	device string             // of its file system
	inside string             // where it lies in there
	views  map[string][]Mount // what is mounted for those who were met
	users  []Process
}

func (l *lookout) found(p Process, rest string) {
	p.Path = filepath.Join(l.path, rest)
	l.users = append(l.users, p)
}

// rest says whether a path, in a view, lies in the directory, and what it is called there.
func (l *lookout) rest(path string, mounts []Mount) (rest string, ok bool) {
	m, found := deepest(mounts, path)
	if !found || m.device != l.device {
		return "", false
	}
	return within(m.inside(path), l.inside)
}

// mounted looks for a mount of something in the directory, at a place outside of it: that goes on showing what it showed, whatever
// the directory is called by then.
func (l *lookout) mounted(mounts []Mount) (at, rest string, ok bool) {
	for _, m := range mounts {
		if _, beneath := within(m.Point, l.top); beneath || m.device != l.device {
			continue
		}
		if rest, ok := within(m.root, l.inside); ok {
			return m.Point, rest, true
		}
	}
	return "", "", false
}

// kernel looks at what is used without a process.
func (l *lookout) kernel(own []Mount) {
	if at, rest, ok := l.mounted(own); ok {
		l.found(Process{Name: "the mount at " + at, Mount: true}, rest)
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is a good one
	for _, loop := range loops {
		file, _ := os.ReadFile(loop) // it may have gone
		if rest, ok := l.rest(plain(string(file)), own); ok {
			l.found(Process{Name: "/dev/" + strings.Split(loop, "/")[3]}, rest)
		}
	}
	swaps, _ := os.ReadFile("/proc/swaps") // a kernel may have none
	for line := range strings.Lines(string(swaps)) {
		if rest, ok := l.rest(unescapeOctal(strings.Fields(line)[0]), own); ok {
			l.found(Process{Name: "the kernel's swap"}, rest)
		}
	}
}

// view names what a process sees of the tree of mounts. Most see the same.
func view(process string) string {
	namespace, _ := os.Readlink("/proc/" + process + "/ns/mnt") // of one that ends meanwhile it does not matter
	root, _ := os.Readlink("/proc/" + process + "/root")
	return namespace + " " + root
}

// process looks at one. If it ends meanwhile it has nothing.
func (l *lookout) process(number string, pid int) {
	key, dir := view(number), "/proc/"+number
	who := func(mount bool) Process {
		name, _ := os.ReadFile(dir + "/comm")
		return Process{PID: pid, Name: strings.TrimSpace(string(name)), Mount: mount}
	}
	mounts, known := l.views[key]
	if !known {
		table, _ := os.ReadFile(dir + "/mountinfo")
		mounts = mountsIn(string(table))
		l.views[key] = mounts
		if _, rest, ok := l.mounted(mounts); ok { // one of those who see it is enough
			l.found(who(true), rest)
			return
		}
	}
	for _, path := range opened(dir) {
		if rest, ok := l.rest(path, mounts); ok {
			l.found(who(false), rest)
			return
		}
	}
}

// opened lists what the process at a directory of /proc has open or mapped. A file that is mapped need not be open any more.
func opened(dir string) (paths []string) {
	links := []string{dir + "/cwd", dir + "/root", dir + "/exe"}
	files, _ := os.ReadDir(dir + "/fd") // not ours to see, or gone
	for _, file := range files {
		links = append(links, dir+"/fd/"+file.Name())
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "/") {
			paths = append(paths, plain(target))
		}
	}
	maps, _ := os.ReadFile(dir + "/maps")
	for line := range strings.Lines(string(maps)) {
		if at := strings.IndexByte(line, '/'); at >= 0 && (len(paths) == 0 || paths[len(paths)-1] != plain(line[at:])) {
			paths = append(paths, plain(line[at:]))
		}
	}
	return paths
}

// plain is a path that the kernel tells, without what it adds when that was removed.
func plain(path string) string { return strings.TrimSuffix(strings.TrimSpace(path), " (deleted)") }
