package phases

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/env"
	"appliance/internal/api"
	"appliance/internal/system"
	"appliance/storage"
	"appliance/storage/vault"
)

func codes(list []api.Warning) (codes []string) {
	for _, w := range list {
		codes = append(codes, w.Code)
	}
	return codes
}

// What steps and the watch have seen is in the status, for as long as it holds and since when it does.
func TestTheStatusHasWarnings(t *testing.T) {
	a, _ := watching(t, Run)
	if got := a.Status().Warnings; len(got) > 0 {
		t.Fatalf("before anything was seen: %+v", got)
	}
	expires := time.Now().AddDate(0, 0, 20)
	note, err := json.Marshal(map[string]any{"version": 1, "generation": "x", "keys": []vault.Key{{Use: vault.UseSign, Expires: &expires}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cfg.System.WriteFile("/data/ecs-gpg/.appliance-vault.json", note, 0o600); err != nil {
		t.Fatal(err)
	}
	a.walk.noteVault()
	data := room{"/data", system.Space{Size: 100, Free: 15}, storage.Warn}
	a.walk.noteRooms([]room{data, {"/volatile", system.Space{Size: 100, Free: 15}, storage.Warn}, {"/", system.Space{Size: 100, Free: 90}, storage.Ample}})
	a.walk.noteVolumes([]storage.Found{{Volume: storage.Volumes[0], Devices: []string{"/dev/vdb", "/dev/vdc"}}})
	first := a.Status().Warnings
	if got := codes(first); !slices.Equal(got, []string{"vault-key-expires", "space-warn", "space-warn", "volume-doubt"}) {
		t.Fatalf("seen was %q", got)
	}
	for _, w := range first {
		if w.Since.IsZero() || w.Text == "" || w.Remedy == "" {
			t.Errorf("one is %+v", w)
		}
	}
	data.space.Free = 14
	a.walk.noteRooms([]room{data})
	a.walk.noteVolumes(nil)
	again := a.Status().Warnings
	if got := codes(again); !slices.Equal(got, []string{"vault-key-expires", "space-warn"}) || !again[1].Since.Equal(first[1].Since) || !strings.Contains(again[1].Text, "14 B (14.0 %)") {
		t.Errorf("then it is %+v", again)
	}
	data.level = storage.Hold
	a.walk.noteRooms([]room{data})
	if got := a.Status().Warnings; got[1].Code != "space-hold" || !got[1].Since.After(first[1].Since) {
		t.Errorf("on another level it is %+v", got[1])
	}
}

// The rooms are noted by whoever looks at them, and the status looks at nothing.
func TestAWalkNotesWhatIsFillingUp(t *testing.T) {
	a, _ := watching(t, Run)
	if _, err := a.walk.rooms(env.Space{Warn: 101, Hold: 0, Protect: 0}); err != nil {
		t.Fatal(err)
	}
	if got := codes(a.Status().Warnings); len(got) == 0 || got[0] != "space-warn" {
		t.Errorf("a walk that needs more than all noted %q", got)
	}
	reading := readingWalk(a.cfg)
	if _, err := reading.rooms(env.Space{Warn: 101}); err != nil { // nobody asks it
		t.Error(err)
	}
}

func TestWarningsOfTheStatusHideSecrets(t *testing.T) {
	a, _ := watching(t, Run)
	doc, err := env.Parse("env.yml", []byte(environment+"ecs:\n  settings:\n    db_password: hunter2-hunter2\n"))
	if err != nil {
		t.Fatal(err)
	}
	a.walk.active, a.walk.candidate = doc, doc
	a.knowEnv()
	a.notices.say("test", time.Now(), []notice{{"", api.Warning{Code: "x", Text: "it said hunter2-hunter2", Remedy: "try hunter2-hunter2"}}})
	if got := a.Status().Warnings[0]; strings.Contains(got.Text+got.Remedy, "hunter2") {
		t.Errorf("told is %+v", got)
	}
}

func TestWarningsAreMetrics(t *testing.T) {
	a, _ := watching(t, Run)
	a.publishWarnings()
	if a.cfg.System.Exists(warningsPath) {
		t.Error("without a warning there is a file")
	}
	low := room{"/data", system.Space{Size: 100, Free: 15}, storage.Warn}
	a.walk.noteRooms([]room{low, {"/volatile", low.space, storage.Warn}, {"/", low.space, storage.Hold}})
	a.publishWarnings()
	const want = `# HELP appliance_warnings What the status warns of.
# TYPE appliance_warnings gauge
appliance_warnings{code="space-hold"} 1
appliance_warnings{code="space-warn"} 2
`
	if got, err := a.cfg.System.ReadFile(warningsPath); string(got) != want || err != nil {
		t.Errorf("there is %q, %v", got, err)
	}
	a.walk.noteRooms(nil)
	a.publishWarnings()
	if a.cfg.System.Exists(warningsPath) {
		t.Error("the file stays")
	}
}
