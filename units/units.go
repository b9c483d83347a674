// Package units holds what an appliance places below systemd's directories, as
// it is and rendered for the place of the binary. It writes nothing itself.
package units

import (
	"bytes"
	_ "embed"
	"io/fs"
	"path"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// PackagedBinary is where the Debian package puts the program. The unit as
// embedded is the package's: nothing but this path has to be rendered.
const PackagedBinary = "/usr/bin/appliance"

//go:embed appliance.service
var service []byte

//go:embed appliance.socket
var socket []byte

//go:embed appliance.sysusers
var sysusers []byte

// File is one file as it should stand on the host.
type File struct {
	Path    string // absolute; the caller puts it below its root
	Content []byte
	Mode    fs.FileMode
}

// Files lists the units and the users they need, for a program at the absolute
// path binary. The packaged program gets the very files of the package, so that
// installing over it changes nothing. Any other gets them below /etc, where
// systemd prefers them: a binary that an administrator placed outranks the
// package.
func Files(binary string) []File {
	unitDir, usersDir := "/etc/systemd/system", "/etc/sysusers.d"
	if binary == PackagedBinary {
		unitDir, usersDir = "/usr/lib/systemd/system", "/usr/lib/sysusers.d"
	}
	return []File{
		{Path: path.Join(usersDir, "appliance.conf"), Content: bytes.Clone(sysusers), Mode: 0o644},
		{Path: path.Join(unitDir, "appliance.service"), Content: render(binary), Mode: 0o644},
		{Path: path.Join(unitDir, "appliance.socket"), Content: bytes.Clone(socket), Mode: 0o644}, // not enabled: what it says
	}
}

func render(binary string) []byte {
	const exec = "ExecStart="
	return bytes.Replace(service, []byte(exec+PackagedBinary), []byte(exec+quote(binary)), 1)
}

// quote writes a path as systemd.service(5) wants it in a command line: % is a
// specifier there, and blanks end a word. Environment variables need no care,
// systemd does not expand them in the program's own path.
func quote(binary string) string {
	binary = strings.ReplaceAll(binary, "%", "%%")
	if !strings.ContainsAny(binary, " \t\"'\\;") {
		return binary
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(binary) + `"`
}

// Diff is a unified diff between the file at path as the host has it and as it
// should be; it is empty when they are equal. A nil have is a file that is not
// there yet.
func Diff(path string, have, want []byte) string {
	from := path + " (host)"
	if have == nil {
		from = "/dev/null"
	}
	return string(diff.Diff(from, have, path+" (appliance)", want))
}
