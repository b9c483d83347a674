package env_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
)

func TestDescribe(t *testing.T) {
	tests := []struct {
		name, path string
		want       env.Description
	}{
		{"a text that must be given", "appliance domain", env.Description{
			Path: "appliance.domain", Title: "Domain", About: "Full name of the host, of its site, its mail and its certificate. ASCII: international names in their xn-- form.",
			Type: "a host name such as ecs.example.org", Examples: []string{"ecs.example.org", "localhost"}, Variables: []string{"APPLIANCE_DOMAIN"}, Required: true}},
		{"a flag", "appliance update automatic", env.Description{
			Path: "appliance.update.automatic", Title: "Update unattended", About: "Off stops the timer; updates by hand go on working.",
			Type: "true or false", Default: "true", Examples: []string{"false"}, Variables: []string{"APPLIANCE_UPDATE_AUTOMATIC"}, Pending: true}},
		{"a field of an item", "appliance extra files 12 permissions", env.Description{
			Path: "appliance.extra.files[].permissions", Title: "Permissions", About: "Octal mode in quotes. Without quotes 0600 is the number 384, which means the same mode.",
			Type: `an octal mode in quotes such as "0600"`, Examples: []string{`"0600"`}, Variables: []string{"APPLIANCE_EXTRA_FILES_0_PERMISSIONS"}, Pending: true}},
		{"a list of text", "appliance extra packages", env.Description{
			Path: "appliance.extra.packages", Title: "Packages", About: "Names of packages of the operating system that are installed.",
			Type: "a list of text", Default: "[]", Examples: []string{"- htop\n- qrencode"}, Variables: []string{"APPLIANCE_EXTRA_PACKAGES_0", "APPLIANCE_EXTRA_PACKAGES_LEN"}, Pending: true}},
		{"a secret below a key of one's own", "appliance storage setup crypt /dev/vdb password", env.Description{
			Path: "appliance.storage.setup.crypt./dev/vdb.password", Title: "Passphrase", About: "Opens the device. It is as safe as this file: key_file or tpm2 may suit better.",
			Type: "text", Examples: []string{`"..."`}, Secret: true, Pending: true}},
		{"a key that is out of use", "ecs migrate auto", env.Description{
			Path: "ecs.migrate.auto", Title: "Migrate unasked", About: "Nothing reads this key.",
			Type: "true or false", Default: "true", Examples: []string{"true"}, Variables: []string{"ECS_MIGRATE_AUTO"}, Deprecated: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, known := env.Describe(strings.Fields(tt.path)...)
			if diff := cmp.Diff(tt.want, got); diff != "" || !known {
				t.Errorf("known: %v\n%s", known, diff)
			}
		})
	}
}

func TestDescribeSuggests(t *testing.T) {
	tests := []struct{ name, path, want string }{
		{"misspelt", "appliance domian", "appliance.domain"},
		{"misspelt at the top", "aplliance", "appliance"},
		{"misspelt on the way", "appliance update_ oncalendar", "appliance.update"},
		{"misspelt below an item", "appliance extra files 0 pathe", "appliance.extra.files[].path"},
		{"at another place", "appliance oncalendar", "appliance.update.oncalendar"},
		{"below a text", "appliance domain name", ""},
		{"no number of an item", "appliance extra packages htop", ""},
		{"one's own", "appliance favourite_colour", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, known := env.Describe(strings.Fields(tt.path)...)
			if diff := cmp.Diff(env.Description{Suggestion: tt.want}, got); diff != "" || known {
				t.Errorf("known: %v\n%s", known, diff)
			}
		})
	}
}
