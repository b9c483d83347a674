package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// unitDir is for units that belong to the host, not to a package.
const unitDir = "/etc/systemd/system"

// escape is how systemd.unit(5) writes a path in the name of a unit.
func escape(name string) string {
	name = strings.Trim(path.Clean(name), "/")
	if name == "" {
		return "-"
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i > 0, c == '_', c == ':', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// unitMark is the first line of our units. One without it is somebody's, and stays.
const unitMark = "# Written by the appliance from appliance.storage; changes are overwritten.\n"

const unitHead = unitMark + `[Unit]
Description=%s
Documentation=man:appliance(1)
`

func (m *mount) unit() string     { return escape(m.Dir) + ".mount" }
func (m *mount) unitPath() string { return unitDir + "/" + m.unit() }

// bootTarget is what starts the unit at boot; "" is the appliance itself, which opens what is below it.
func (m *mount) bootTarget() string {
	if m.late {
		return ""
	}
	return "local-fs.target"
}

// render makes the unit. It holds up no boot and leads to no emergency mode (nofail): a missing volume is told of by the
// appliance, which comes after it, as does the engine.
func (m *mount) render() []byte {
	var b strings.Builder
	what := "Volume at " + m.Dir
	if m.label != "" {
		what = fmt.Sprintf("Volume %s at %s", m.label, m.Dir)
	}
	fmt.Fprintf(&b, unitHead, what)
	fmt.Fprintf(&b, "Wants=%[1]s\nAfter=%[1]s\n", "systemd-fsck@"+escape(m.source())+".service")
	b.WriteString("Before=docker.service containerd.service podman.service appliance.service\n\n")
	fmt.Fprintf(&b, "[Mount]\nWhat=%s\nWhere=%s\n", m.source(), m.Dir)
	if m.Type != "" {
		fmt.Fprintf(&b, "Type=%s\n", m.Type)
	}
	fmt.Fprintf(&b, "Options=%s\n", strings.Join(append([]string{"nofail"}, m.Options...), ","))
	if target := m.bootTarget(); target != "" {
		fmt.Fprintf(&b, "\n[Install]\nWantedBy=%s\n", target)
	}
	return []byte(b.String())
}

func (s *swap) render() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, unitHead, "Swap on "+s.dev)
	fmt.Fprintf(&b, "\n[Swap]\nWhat=%s\nOptions=nofail\n", s.dev)
	if !s.late {
		b.WriteString("\n[Install]\nWantedBy=swap.target\n")
	}
	return []byte(b.String())
}

// unitDiffers says whether the unit is to be written: not for a directory that fstab has, from which systemd makes its own.
func (m *mount) unitDiffers(r *run) bool {
	return m.Persist && !r.inFstab(m.Dir) && r.differs(m.unitPath(), m.render())
}

func (s *swap) unitDiffers(r *run) bool {
	return !r.inFstab(s.dev) && r.differs(unitDir+"/"+escape(s.dev)+".swap", s.render())
}

func (r *run) inFstab(name string) bool {
	table, err := r.sys.ReadFile("/etc/fstab")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && !strings.HasPrefix(fields[0], "#") && (fields[1] == name || fields[0] == name) {
			return true
		}
	}
	return false
}

func (r *run) differs(file string, want []byte) bool {
	have, err := r.sys.ReadFile(file)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return strings.HasPrefix(string(have), unitMark) && string(have) != string(want)
}

// place writes a unit and, by the link that systemctl enable makes, has a target start it. systemd is not told to read its units
// again: it finds those that it does not know yet, and a reload in the middle of a start makes it forget that the supervisor
// has asked for more time.
func (r *run) place(file string, content []byte, target string) error {
	if err := r.sys.WriteFile(file, content, 0o644); err != nil {
		return err
	}
	for _, t := range []string{"local-fs.target", "swap.target", "multi-user.target"} {
		link := path.Join(path.Dir(file), t+".wants", path.Base(file))
		change := func() error { return r.sys.Remove(link) }
		if t == target {
			change = func() error { return r.sys.Symlink(file, link) }
		}
		if err := change(); err != nil {
			return err
		}
	}
	return nil
}
