package bench

import (
	"time"

	"appliance/env/source"
	"appliance/internal/system"
	"appliance/internal/testbed"
)

// silentSources measures what a host waits for an environment that nobody has: no file, no drive, and networks that swallow
// every attempt to reach a metadata service.
func (s *suite) silentSources(p plan) {
	services := map[string]string{}
	for _, name := range []string{"ec2", "gce", "openstack", "digitalocean", "hetzner", "azure"} {
		services[name] = "http://" + testbed.Deaf(s.tb)
	}
	of := s.ours("no environment anywhere → said", "all sources asked")
	s.measure(p, func(record recorder) {
		began := time.Now()
		result, err := source.Find(s.ctx, source.Config{System: system.New(system.Config{Root: s.tb.TempDir()}), Machine: &source.Machine{Services: services}})
		if err != nil || result.Found != nil {
			s.tb.Fatalf("found %v, %v", result.Found, err)
		}
		record(of, milliseconds(time.Since(began)))
	})
	s.row(of).requireMedian(3000)
}
