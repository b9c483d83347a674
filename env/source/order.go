package source

import (
	"context"
	"fmt"
)

// local lists what is asked first, one after the other: the operator's own file wins over a drive.
func (s *search) local() []source {
	return []source{
		{"file", "$ENV_YML", s.envYML},
		{"file", EnvPath, s.envFile},
		{"nocloud", "seed directory", s.seedDirectory},
		{"nocloud", "seed on the kernel command line or in the SMBIOS serial number", s.seedPath},
		{"nocloud", "drive labelled cidata", s.seedDrive},
		{"config-2", "drive labelled config-2", s.configDrive},
	}
}

// network lists what is asked side by side where no local source has a document. Most clouds answer the requests of
// EC2 too, so it comes before them.
func (s *search) network() []source {
	return []source{
		{"nocloud", "address on the kernel command line or in the SMBIOS serial number", s.seedAddress},
		s.service("ec2", ec2),
		s.service("gce", gce),
		s.service("openstack", openStack),
		s.service("digitalocean", digitalOcean),
		s.service("hetzner", hetzner),
		s.service("azure", azure),
	}
}

// service is the source of that name whose document fetch gets from a metadata service.
func (s *search) service(name string, fetch func(ctx context.Context, w *web, base string) (*answer, error)) source {
	base := s.Machine.Services[name]
	return source{name, base, func(ctx context.Context) (*UserData, error) {
		if base == "" {
			return nil, absent{why: "there is no such service here", unasked: true}
		}
		a, err := fetch(ctx, s.web, base)
		if err != nil {
			return nil, err
		}
		return s.fetched(name, a)
	}}
}

// fetched is the document in an answer.
func (s *search) fetched(name string, a *answer) (*UserData, error) {
	body, err := a.document(name)
	if err != nil {
		return nil, err
	}
	found, err := s.userData(name, name+" "+a.address, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.address, err)
	}
	found.Network = true
	return found, nil
}
