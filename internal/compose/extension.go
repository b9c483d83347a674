package compose

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Extension is the x-appliance section of a compose file: what an appliance needs to know beyond compose.
type Extension struct {
	Routes           []Route  `json:"routes"`
	StartTimeout     Duration `json:"start_timeout"`     // how long a start may take until all is healthy; default 5m
	UnhealthyTimeout Duration `json:"unhealthy_timeout"` // how long it may be out of health before the appliance fails; default 2m
	StopTimeout      Duration `json:"stop_timeout"`      // how long a container may take to stop before it is killed; 0: its own stop_grace_period
	OneShots         []string `json:"oneshots"`          // services that must end with status 0, where no depends_on tells so
	ReloadOnCert     []Reload `json:"reload_on_cert"`    // services that read the certificate of the site only when they start
	Writers          []string `json:"writers"`           // services that are stopped before a full disk harms the data; default: those that no other needs
}

// Route says which service answers the outside, and where it tells of its health.
type Route struct {
	Service string `json:"service"`
	Port    Port   `json:"port"`
	Path    string `json:"path,omitempty"`   // prefix it serves; "" is "/"
	Health  string `json:"health,omitempty"` // path that answers 2xx when it is healthy; "" asks nothing
	// Timeout is how long the first byte of an answer may take; default 5m.
	Timeout Duration `json:"timeout,omitempty"`
}

// DefaultRouteTimeout is how long the first byte of an answer may take where the route does not say.
const DefaultRouteTimeout = 5 * time.Minute

// Wait is how long the first byte of an answer may take.
func (r Route) Wait() time.Duration { return time.Duration(r.Timeout) }

// Reload says how a service gets to know a new certificate: by a signal, or without one by a restart.
type Reload struct {
	Service string `json:"service"`
	Signal  string `json:"signal,omitempty"` // "HUP"
}

// UnmarshalJSON reads a service with its signal, or the name of a service alone.
func (r *Reload) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &r.Service) == nil {
		return nil
	}
	type plain Reload
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode((*plain)(r)); err != nil {
		return fmt.Errorf("reload_on_cert: %s is no service and no mapping of service and signal: %s", data, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// Duration is a time span written as in Go and in compose files: "90s", "5m".
type Duration time.Duration

// MarshalJSON writes a duration as UnmarshalJSON reads it.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads a positive duration in quotes.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%s is no duration such as \"90s\"", data)
	}
	span, err := time.ParseDuration(text)
	if err != nil || span <= 0 {
		return fmt.Errorf("%q is no duration such as \"90s\"", text)
	}
	*d = Duration(span)
	return nil
}

// Port is a TCP port; interpolated variables make it a string, so both spellings are read.
type Port uint16

// UnmarshalJSON reads a port as a number or in quotes.
func (p *Port) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%s is no port", data)
	}
	*p = Port(n)
	return nil
}

// defaults are what a project without the extension gets.
func defaults() Extension {
	return Extension{StartTimeout: Duration(5 * time.Minute), UnhealthyTimeout: Duration(2 * time.Minute)}
}

func parseExtension(section any, services func(string) bool) (Extension, error) {
	ext := defaults()
	if section == nil {
		return ext, nil
	}
	data, err := json.Marshal(section)
	if err != nil {
		return ext, fmt.Errorf("x-appliance: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ext); err != nil {
		return ext, fmt.Errorf("x-appliance: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	err = ext.check(services)
	return ext, err
}

// check holds the extension against the services there are, and fills in what routes leave out.
func (ext *Extension) check(services func(string) bool) error {
	paths := map[string]int{}
	for i := range ext.Routes {
		route := &ext.Routes[i]
		route.Path = "/" + strings.Trim(route.Path, "/")
		route.Timeout = cmp.Or(route.Timeout, Duration(DefaultRouteTimeout))
		if !services(route.Service) {
			return fmt.Errorf("x-appliance.routes.%d.service: there is no service %q", i, route.Service)
		}
		if route.Port == 0 {
			return fmt.Errorf("x-appliance.routes.%d.port: missing", i)
		}
		if other, taken := paths[route.Path]; taken {
			return fmt.Errorf("x-appliance.routes.%d.path: route %d has the path %q too", i, other, route.Path)
		}
		paths[route.Path] = i
	}
	for i, name := range ext.OneShots {
		if !services(name) {
			return fmt.Errorf("x-appliance.oneshots.%d: there is no service %q", i, name)
		}
	}
	for i, name := range ext.Writers {
		if !services(name) {
			return fmt.Errorf("x-appliance.writers.%d: there is no service %q", i, name)
		}
	}
	for i, reload := range ext.ReloadOnCert {
		if !services(reload.Service) {
			return fmt.Errorf("x-appliance.reload_on_cert.%d: there is no service %q", i, reload.Service)
		}
		if reload.Signal != "" && unix.SignalNum("SIG"+strings.TrimPrefix(reload.Signal, "SIG")) == 0 {
			return fmt.Errorf("x-appliance.reload_on_cert.%d.signal: there is no signal %q", i, reload.Signal)
		}
	}
	return nil
}

// DefaultStopLimit is how long a container may take to stop where no project says.
const DefaultStopLimit = 20 * time.Second
