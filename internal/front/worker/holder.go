package worker

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holderOf names the process that listens on the port of address, "" where that cannot be told.
func holderOf(address string) string {
	sockets := listening(address)
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || !slices.Contains(sockets, target) {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue // it has just ended
		}
		return fmt.Sprintf("%s (PID %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// listening finds the sockets that listen on the port of address, as /proc/PID/fd calls them, in the tables of the kernel;
// see proc_net_tcp.
func listening(address string) (sockets []string) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil
	}
	const listen = "0A"
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for row := range bytes.Lines(data) {
			fields := strings.Fields(string(row)) // 0: 00000000:01BB 00000000:0000 0A … inode
			if len(fields) > 9 && fields[3] == listen && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				sockets = append(sockets, socketName(fields[9]))
			}
		}
	}
	return sockets
}

// socketName is what links in /proc/PID/fd call the socket with this inode.
func socketName[T string | uint64](inode T) string { return fmt.Sprintf("socket:[%v]", inode) }
