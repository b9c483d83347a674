package compose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/client"

	"appliance/internal/remedy"
)

// ErrPortTaken says that somebody else holds a port that the project publishes.
var ErrPortTaken = errors.New("another program holds the port")

// PortsFree answers ErrPortTaken when the project publishes a port that is held on this host, and not by the project's
// own containers. It finds what a socket shows; an engine that is not on this host is left to find out by itself.
func (e *Engine) PortsFree(ctx context.Context, p *Project) error {
	if !strings.HasPrefix(e.Host(), "unix://") {
		return nil
	}
	own, err := e.ownPorts(ctx, p.Name())
	if err != nil {
		return err
	}
	for _, name := range p.ServiceNames() {
		for i, port := range p.project.Services[name].Ports {
			if own[port.Published+"/"+port.Protocol] || !taken(ctx, port) {
				continue
			}
			where := position(p.project.ComposeFiles, []string{"services", name, "ports", fmt.Sprint(i)})
			return remedy.With(fmt.Errorf("cannot publish %s/%s of service %s (%s): %w", net.JoinHostPort(port.HostIP, port.Published), port.Protocol, name, where, ErrPortTaken),
				fmt.Sprintf("free the port (`ss -lntup 'sport = :%s'` says who holds it) or publish another one", port.Published))
		}
	}
	return nil
}

// ownPorts are the ports that the project's running containers hold, as "8080/tcp".
func (e *Engine) ownPorts(ctx context.Context, project string) (map[string]bool, error) {
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{Filters: projectFilter(project)})
	if err != nil {
		return nil, lost(fmt.Errorf("cannot list the containers of %s: %w", project, err))
	}
	own := map[string]bool{}
	for _, summary := range list.Items {
		for _, port := range summary.Ports {
			own[fmt.Sprintf("%d/%s", port.PublicPort, port.Type)] = true
		}
	}
	return own, nil
}

// taken says whether somebody holds the port, by asking for it for a moment. No port, a range, an address of another
// host or one that we may not have is not known to be taken.
func taken(ctx context.Context, port types.ServicePortConfig) bool {
	if port.Published == "" || strings.Contains(port.Published, "-") {
		return false
	}
	var listen net.ListenConfig
	addr := net.JoinHostPort(port.HostIP, port.Published)
	if port.Protocol == "udp" {
		conn, err := listen.ListenPacket(ctx, "udp", addr)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.EADDRINUSE)
	}
	l, err := listen.Listen(ctx, "tcp", addr)
	if err == nil {
		l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}
