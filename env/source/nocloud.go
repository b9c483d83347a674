package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"appliance/internal/remedy"
)

// seedDirectory asks the directories where an image or an installer leaves a seed for cloud-init.
func (s *search) seedDirectory(context.Context) (*UserData, error) {
	var none absent
	for _, dir := range []string{"/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"} {
		found, err := s.hostFile("nocloud", path.Join(dir, "user-data"))
		if err == nil || !errors.As(err, &none) {
			return found, err
		}
	}
	return nil, absent{why: "there is no user-data in /var/lib/cloud/seed"}
}

// seedDrive asks the drive that cloud-init's NoCloud would take.
func (s *search) seedDrive(ctx context.Context) (*UserData, error) {
	return s.fromDrive(ctx, "nocloud", []string{"cidata", "CIDATA"}, "user-data")
}

// seedPath asks the directory that the machine was started with.
func (s *search) seedPath(context.Context) (*UserData, error) {
	seed, err := s.seed()
	if err != nil {
		return nil, err
	}
	place := strings.TrimPrefix(seed, "file://")
	switch {
	case strings.HasPrefix(place, "/"):
		return s.hostFile("nocloud", userDataOf(place))
	case isAddress(seed):
		return nil, absent{why: "it is an address: asked with the network", unasked: true}
	}
	return nil, remedy.With(errors.New("the seed that this machine was started with is neither a path nor an http address"),
		"start it with ds=nocloud;s= and a directory, file://, http:// or https://")
}

// seedAddress asks the web server that the machine was started with.
func (s *search) seedAddress(ctx context.Context) (*UserData, error) {
	seed, err := s.seed()
	if err != nil {
		return nil, err
	}
	if !isAddress(seed) {
		return nil, absent{why: "the seed is no address", unasked: true}
	}
	a, err := s.web.get(ctx, userDataOf(seed), nil)
	if err != nil {
		return nil, err
	}
	return s.fetched("nocloud", a)
}

func isAddress(seed string) bool {
	return strings.HasPrefix(seed, "http://") || strings.HasPrefix(seed, "https://")
}

// seed is where the machine was told to look for user-data when it was started.
func (s *search) seed() (string, error) {
	for _, file := range s.Machine.Arguments {
		line, err := s.System.ReadFile(file)
		if err != nil {
			continue // a hint that we may not read is none: the serial number is for root alone, and some machines have none
		}
		if seed := seedArgument(string(line)); seed != "" {
			return seed, nil
		}
	}
	return "", absent{why: "this machine was started without ds=nocloud;s=", unasked: len(s.Machine.Arguments) == 0}
}

// seedArgument finds s= in an argument such as ds=nocloud;h=name;s=http://server/seed/ among others. Boot loaders leave
// quotes around it.
func seedArgument(line string) string {
	for argument := range strings.FieldsSeq(line) {
		parts := strings.Split(strings.Trim(argument, `"'`), ";")
		if kind := strings.NewReplacer(`"`, "", `'`, "").Replace(parts[0]); kind != "ds=nocloud" && kind != "ds=nocloud-net" {
			continue
		}
		for _, part := range parts[1:] {
			key, value, _ := strings.Cut(part, "=")
			if key == "s" || key == "seedfrom" {
				return value
			}
		}
	}
	return ""
}

// userDataOf is where user-data lies below a seed: in place of a %s, or behind a slash where there is no query.
func userDataOf(seed string) string {
	if strings.Contains(seed, "%s") {
		return strings.ReplaceAll(seed, "%s", "user-data")
	}
	if u, err := url.Parse(seed); err == nil && u.RawQuery != "" || strings.HasSuffix(seed, "/") {
		return seed + "user-data"
	}
	return fmt.Sprintf("%s/user-data", seed)
}
