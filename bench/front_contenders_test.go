package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"appliance/internal/testbed"
)

// contender is a reverse proxy at work before the origin.
type contender struct {
	who     string
	address string // where it serves TLS
	pid     int    // of its first process
	log     string // file with a line for each request
}

// startOrigin starts the application that everything is measured before. It prints its address.
func startOrigin(tb testing.TB, binary string) (address string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), binary)
	if _, err := cmd.StdinPipe(); err != nil { // it ends with us
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	startProcess(tb, cmd)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		tb.Fatalf("the origin does not say where it listens: %v", err)
	}
	return strings.TrimSpace(line)
}

// startProcess starts a server, and ends it with the test.
func startProcess(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { // its context has ended by now
		if err := cmd.Wait(); err != nil && tb.Failed() {
			tb.Logf("%v: %v\n%s", cmd.Args, err, tail(log.Bytes()))
		}
	})
}

func tail(log []byte) []byte { return log[max(0, len(log)-4000):] }

const caddyFile = `{
	admin off
	auto_https off
	servers {
		protocols h1 h2
	}
}
https://ADDRESS {
	bind 127.0.0.1
	tls CHAIN KEY {
		protocols tls1.3
	}
	log {
		output file DIR/access.log {
			roll_disabled
		}
	}
	reverse_proxy ORIGIN {
		transport http {
			keepalive_idle_conns_per_host 256
		}
	}
}
`

const nginxFile = `daemon off;
worker_processes auto;
worker_rlimit_nofile FILES;
pid DIR/nginx.pid;
error_log DIR/error.log;
events { worker_connections FILES; }
http {
	access_log DIR/access.log combined buffer=64k flush=1s;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	keepalive_requests 100000000;
	keepalive_timeout 300s;
	upstream origin {
		server ORIGIN;
		keepalive 256;
		keepalive_requests 100000000;
	}
	server {
		listen ADDRESS ssl http2;
		ssl_certificate CHAIN;
		ssl_certificate_key KEY;
		ssl_protocols TLSv1.3;
		ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
		location / {
			proxy_pass http://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
		}
	}
}
`

// startPeer starts Debian's caddy or nginx with a configuration file of its own.
func startPeer(tb testing.TB, name, origin string, id identity) contender {
	tb.Helper()
	dir := tb.TempDir()
	address, file := testbed.FreeAddress(tb), filepath.Join(dir, name+".conf")
	text := map[string]string{"caddy": caddyFile, "nginx": nginxFile}[name]
	text = strings.NewReplacer("ADDRESS", address, "CHAIN", id.chainFile, "KEY", id.keyFile, "DIR", dir, "ORIGIN", origin,
		"FILES", strconv.FormatUint(openFiles(tb), 10)).Replace(text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), name, "-c", file, "-e", filepath.Join(dir, "error.log"))
	if name == "caddy" {
		cmd = exec.CommandContext(tb.Context(), name, "run", "--config", file, "--adapter", "caddyfile")
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	}
	startProcess(tb, cmd)
	c := contender{who: "Debian's " + name, address: address, pid: cmd.Process.Pid,
		log: filepath.Join(dir, "access.log")}
	c.await(tb, id)
	return c
}

// await waits until the origin answers through the contender.
func (c contender) await(tb testing.TB, id identity) {
	tb.Helper()
	transport := &http.Transport{TLSClientConfig: id.visitor.Clone(), DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	var last any
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.address+"/", nil)
		if err != nil {
			tb.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if last = err; err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK && response.ContentLength == answerSize {
				return
			}
			last = response.Status
		}
		time.Sleep(20 * time.Millisecond) // a poll with a deadline
	}
	tb.Fatalf("%s does not serve: %v", c.who, last)
}

// processes are the ids of a contender's processes.
func (c contender) processes(tb testing.TB) []int {
	tb.Helper()
	all := []int{c.pid}
	for i := 0; i < len(all); i++ { // it grows
		for _, child := range strings.Fields(readText(fmt.Sprintf("/proc/%d/task/%d/children", all[i], all[i]))) {
			pid, err := strconv.Atoi(child)
			if err != nil {
				tb.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}
