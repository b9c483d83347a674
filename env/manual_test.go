package env_test

import (
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/env"
)

var update = flag.Bool("update", false, "write the golden files")

const manualFile = "../docs/env.md"

func TestManual(t *testing.T) {
	if *update {
		if err := os.WriteFile(manualFile, env.Manual(), 0o644); err != nil { //nolint:gosec // for everybody
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(readFile(t, manualFile)), string(env.Manual())); diff != "" {
		t.Errorf("%s is not what the schema says, -update writes it:\n%s", manualFile, diff)
	}
}

// TestManualShowsValidYAML reads every snippet as an operator's file: whatever is wrong with it but that it is a part.
func TestManualShowsValidYAML(t *testing.T) {
	snippets := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(env.Manual()), -1)
	if len(snippets) < 50 {
		t.Fatalf("only %d snippets", len(snippets))
	}
	for _, snippet := range snippets {
		chosen := strings.NewReplacer("DISK:", "/dev/vdb:", "DEVICE:", "/dev/vdb:", "ARRAY:", "/dev/md0:", "DIRECTORY:", "/mnt/archive:").Replace(snippet[1])
		doc, err := env.Parse("snippet", []byte(chosen))
		if err != nil {
			t.Errorf("%v\n%s", err, snippet[1])
			continue
		}
		var problems []env.Problem
		var report *env.Report
		if err := doc.Validate(); errors.As(err, &report) {
			problems = report.Problems
		}
		for _, p := range append(problems, doc.Warnings()...) {
			if strings.Contains(snippet[1], "    ...\n") && strings.Contains(p.Message, "cut off") {
				continue // it is left out here
			}
			if strings.HasPrefix(p.Path, "appliance.storage.setup.") && (strings.Contains(p.Message, "no such group") || strings.Contains(p.Message, "needs either") || strings.Contains(p.Message, "nothing opens")) {
				continue // that is in another part of the layout
			}
			if p.Message != "is missing" && !strings.Contains(p.Message, "#cloud-config") && !strings.Contains(p.Message, "no name of a shell variable") {
				t.Errorf("%s\n%s", p, snippet[1])
			}
		}
	}
}

// TestManualLinks follows the links of the contents as renderers of Markdown do.
func TestManualLinks(t *testing.T) {
	headings := map[string]int{}
	for _, heading := range regexp.MustCompile("(?m)^##+ (.*)$").FindAllStringSubmatch(string(env.Manual()), -1) {
		plain := regexp.MustCompile(`[^a-z0-9_ -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		headings[strings.ReplaceAll(plain, " ", "-")]++
	}
	links := regexp.MustCompile(`\]\(#(.*?)\)`).FindAllStringSubmatch(string(env.Manual()), -1)
	if len(links) < 20 {
		t.Fatalf("only %d links", len(links))
	}
	for _, link := range links {
		if headings[link[1]] != 1 {
			t.Errorf("#%s leads to %d headings", link[1], headings[link[1]])
		}
	}
}
