package acceptance

import (
	"context"
	"io/fs"
	"strconv"
	"strings"
	"testing"
)

// counting stands for a database: it writes one number after the other, makes each durable before the next, and goes on where it
// was stopped.
const counting = `[Unit]
Description=A database
RequiresMountsFor=/data
[Service]
ExecStart=/bin/sh -c 'n=$$(tail -n 1 /var/lib/postgresql/log || echo 0); while :; do n=$$((n+1)); echo $$n >>/var/lib/postgresql/log; sync --data /var/lib/postgresql/log; sleep 0.02; done'
[Install]
WantedBy=multi-user.target
`

// host is a machine of either kind.
type host interface {
	Run(argv ...string) string
	Try(ctx context.Context, argv ...string) (stdout, stderr string, code int)
	WriteFile(path string, data []byte, mode fs.FileMode)
}

// database is one on a host.
type database struct {
	t testing.TB
	host
}

// create makes a database with 4000 files that do not change, and its unit.
func (d database) create(dir string) {
	d.t.Helper()
	d.WriteFile("/etc/systemd/system/postgresql.service", []byte(counting), 0o644)
	d.Run("mkdir", "-p", dir+"/base")
	d.Run("sh", "-c", "cd "+dir+"/base; seq 4000 | split -l 1 -a 4 - relation; chown -R 26:26 .; chmod 700 .; chmod 600 *; ln relationaaaa linked; touch -d @1234567890.123456789 * .")
}

// base tells of what does not change.
func (d database) base() string {
	d.t.Helper()
	const all = "cd /var/lib/postgresql/base && stat -c '%A %u:%g %y' . && find . -type f -printf '%p %M %U:%G %n %s %T@\\n' | sort && sha256sum *"
	return d.Run("sh", "-c", all)
}

// counted expects the numbers to be one after the other, and answers the last.
func (d database) counted() int {
	d.t.Helper()
	out, _, _ := d.Try(d.t.Context(), "cat", "/var/lib/postgresql/log")
	last := 0
	for line := range strings.Lines(out) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || n != last+1 {
			d.t.Fatalf("after %d comes %q", last, line)
		}
		last = n
	}
	return last
}
