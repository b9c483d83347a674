package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"
)

// ErrStalePort says that the engine itself holds a port for a container that does not run.
var ErrStalePort = errors.New("the engine holds it for a container that does not run")

// StalePorts lists the ports of the project, as "8080/tcp", that the engine's own proxy holds although no container
// runs that publishes them. A Docker Engine that was cut off from power can come back like that: it gives the port out
// again before it clears away what is left of the container, and then refuses it to the container it belongs to. Only a
// restart of the engine ends that (seen with 26.1.5, in about one of five power cuts).
func (e *Engine) StalePorts(ctx context.Context, p *Project) ([]string, error) {
	held := proxiedPorts("/proc")
	if len(held) == 0 {
		return nil, nil
	}
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{})
	if err != nil {
		return nil, lost(fmt.Errorf("cannot list the running containers: %w", err))
	}
	for _, summary := range list.Items {
		for _, port := range summary.Ports {
			delete(held, fmt.Sprintf("%d/%s", port.PublicPort, port.Type))
		}
	}
	var stale []string
	for _, service := range p.project.Services {
		for _, port := range service.Ports {
			if name := port.Published + "/" + port.Protocol; held[name] && !slices.Contains(stale, name) {
				stale = append(stale, name)
			}
		}
	}
	slices.Sort(stale)
	return stale, nil
}

// proxiedPorts finds the ports of the engine's proxy processes by their command lines, below proc. Those of another
// engine, in a network namespace of its own or below a container, hold nothing here.
func proxiedPorts(proc string) map[string]bool {
	ports := map[string]bool{}
	ours, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return ports
	}
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "cmdline"))
	if err != nil {
		return ports
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil { // the process has ended
			continue
		}
		argv := bytes.Split(data, []byte{0})
		if filepath.Base(string(argv[0])) != "docker-proxy" {
			continue
		}
		if net, err := os.Readlink(filepath.Join(filepath.Dir(file), "ns/net")); err != nil || net != ours {
			continue
		}
		if parentName(proc, filepath.Dir(file)) == "dockerd" {
			ports[after(argv, "-host-port")+"/"+after(argv, "-proto")] = true
		}
	}
	return ports
}

// parentName is the name of the parent of the process whose directory is dir; "" when one of them has ended.
func parentName(proc, dir string) string {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(status), "\nPPid:")
	pid, _, _ := strings.Cut(rest, "\n")
	name, err := os.ReadFile(filepath.Join(proc, strings.TrimSpace(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// after returns the argument behind a flag.
func after(argv [][]byte, flag string) string {
	if i := slices.IndexFunc(argv, func(arg []byte) bool { return string(arg) == flag }); i >= 0 && i+1 < len(argv) {
		return string(argv[i+1])
	}
	return ""
}
