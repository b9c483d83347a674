package compose

import (
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Stamp labels the services that mount the directory dir of the machine, or something in it, with the name of what is there now. Where
// another directory has taken its place under the same path, and has another name, their containers differ and are made anew: a
// container keeps the one it was started with.
func (p *Project) Stamp(dir, label, name string) {
	dir = real(dir)
	for service, config := range p.project.Services {
		for _, mount := range config.Volumes {
			if !within(p.source(mount), dir) {
				continue
			}
			if config.Labels == nil {
				config.Labels = types.Labels{}
			}
			config.Labels[label] = name
			p.project.Services[service] = config
			break
		}
	}
}

// source is the path of the machine that is mounted, "" where none is: a volume may be a path as well.
func (p *Project) source(mount types.ServiceVolumeConfig) string {
	if mount.Type == types.VolumeTypeBind {
		return mount.Source
	}
	options := p.project.Volumes[mount.Source].DriverOpts
	if mount.Type != types.VolumeTypeVolume || !strings.Contains(options["o"], "bind") {
		return ""
	}
	return options["device"]
}

// real is the path without links, or as it is where nothing is there.
func real(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return filepath.Clean(path)
}

func within(path, dir string) bool {
	if path == "" {
		return false
	}
	path = real(path)
	return path == dir || strings.HasPrefix(path, dir+"/")
}
