package env_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
)

func TestStorage(t *testing.T) {
	ample := env.Space{Warn: 20, Hold: 10, Protect: 3}
	for _, test := range []struct {
		name, data string
		want       env.Storage
	}{
		{"nothing set", "appliance: {domain: x}", env.Storage{Ignored: map[string]bool{"data": false, "volatile": false}, App: 1000, Space: ample}},
		{"default", string(env.Default()), env.Storage{Ignored: map[string]bool{"data": true, "volatile": true}, App: 1000, Space: ample}},
		{"all set", "appliance: {domain: x, storage: {ignore: {volatile: true}, owners: {app: 33}, space: {warn: 30, hold: 20, protect: 5}}}",
			env.Storage{Ignored: map[string]bool{"data": false, "volatile": true}, App: 33, Space: env.Space{Warn: 30, Hold: 20, Protect: 5}}},
		{"empty", "appliance: {domain: x, storage: {ignore: , owners: {app: }, space: {warn: }}}",
			env.Storage{Ignored: map[string]bool{"data": false, "volatile": false}, App: 1000, Space: ample}},
	} {
		t.Run(test.name, func(t *testing.T) {
			doc := parse(t, test.data)
			if err := doc.Validate(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, doc.Settings().Storage); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff(parse(t, "appliance: {domain: x}").Settings().Storage, env.Defaults().Storage); diff != "" {
		t.Error(diff)
	}
}

func TestSharesThatAreNotInOrder(t *testing.T) {
	for _, test := range []struct{ name, space, want string }{
		{"both given", "{warn: 5, hold: 7}", `env.yml:1:57: appliance.storage.space.hold: the share for hold is larger than that for warn`},
		{"against the default of a smaller one", "{hold: 2}", `env.yml:1:48: appliance.storage.space.hold: the share for protect is larger than that for hold`},
		{"against the default of a larger one", "{hold: 30}", `env.yml:1:48: appliance.storage.space.hold: the share for hold is larger than that for warn`},
		{"the smallest is largest", "{protect: 50}", `env.yml:1:51: appliance.storage.space.protect: the share for protect is larger than that for hold`},
		{"all alike", "{warn: 5, hold: 5, protect: 5}", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var report *env.Report
			got := ""
			if errors.As(parse(t, "appliance: {domain: x, storage: {space: "+test.space+"}}").Validate(), &report) {
				got = report.Problems[0].String()
			}
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("it says %q", got)
			}
		})
	}
}
