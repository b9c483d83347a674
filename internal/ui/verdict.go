package ui

import (
	"strings"
	"time"

	"appliance/internal/api"
)

// Tones of what is shown; the style sheet has a colour and a sign for each.
const (
	good  = "good"
	busy  = "busy"
	warn  = "warn"
	bad   = "bad"
	quiet = "quiet"
)

// verdict is what somebody wants to know who looks for a second.
type verdict struct {
	Word, Tone string
	Summary    string
	Since      time.Time
	Away       bool // nobody answers: this is from the record
	Trouble    string
	Failure    *api.Failure
	Trial      *api.Trial
}

func newVerdict(s api.Status, trouble string) verdict {
	v := verdict{Summary: s.Summary, Since: s.Since, Away: s.Supervisor == nil, Trouble: trouble, Failure: s.Failure, Trial: s.Trial}
	v.Word, v.Tone = word(s)
	v.Summary = beyond(v.Summary, s.State, v.Word)
	if s.TroubleSince != nil {
		v.Since = *s.TroubleSince
	}
	if v.Away {
		v.Since = time.Time{} // that of the state; when it ended is not on record
		v.Summary = strings.TrimPrefix(s.Summary, "not running; last known: ")
		v.Word, v.Tone = "Not running", bad
	}
	if trouble != "" {
		v.Word, v.Tone = "Unknown", bad
	}
	if s.State != "failed" && s.Failure != nil {
		v.Failure = nil // of before: it has been got over
	}
	return v
}

// beyond is what a summary says beyond the word above it: "run: healthy, 9 services" is "9 services" under Healthy.
func beyond(summary, state, word string) string {
	said := strings.TrimPrefix(summary, state+": ")
	for _, end := range []string{", ", ": "} {
		if rest, ok := strings.CutPrefix(said, strings.ToLower(word)+end); ok {
			return rest
		}
	}
	if strings.EqualFold(state, word) {
		return said
	}
	return summary
}

// walks says whether it is on its way, so that what is not there may be yet to come.
func walks(s api.Status) bool {
	_, tone := word(s)
	return s.Supervisor != nil && tone == busy
}

// word says in a word how the appliance is doing, and in which tone.
func word(s api.Status) (text, tone string) {
	switch s.State {
	case "run", "cleanup":
		switch {
		case s.Healthy:
			return "Healthy", good
		case s.Step == "" && s.State == "run" && s.Resting:
			return "Out of health", bad
		}
	case "failed":
		return "Failed", bad
	case "standby":
		return "Standby", quiet
	case "update":
		return "Updating", busy
	}
	return "Starting", busy
}

// action is something the operator can ask for now.
type action struct {
	Name  string // as POST takes it
	Label string
	Asks  string // what it would do, before it is confirmed
	Yes   string // on the button that does it
	Grave bool
}

// actions are what can be asked for, if this user may.
type actions struct {
	Fit   []action
	Other bool // somebody else may ask for something
}

// actionsFor are those that fit the present state; the supervisor has the last word.
func actionsFor(s api.Status, mayAct bool) actions {
	switch {
	case s.Supervisor == nil:
		return actions{}
	case !mayAct:
		return actions{Other: true}
	}
	var fit []action
	if s.State == "failed" {
		fit = append(fit, action{Name: "clear", Label: "Clear and try again", Yes: "Try again",
			Asks: "Takes the failed flag away and starts again from the environment on. Mend the cause first."})
	} else {
		fit = append(fit, action{Name: "reload", Label: "Reload", Yes: "Reload now",
			Asks: "Reads the environment and the compose project again. Containers whose settings or image changed are replaced; the plan says which."})
	}
	if t := s.Trial; t != nil && t.Outcome == "" {
		fit = append(fit,
			action{Name: "confirm", Label: "Keep the tried environment", Yes: "Keep it", Asks: "Writes the environment that is being tried to /app/env.yml, and keeps what was there beside it."},
			action{Name: "revert", Label: "Go back", Yes: "Go back now", Asks: "Ends the trial and walks again with the environment of before.", Grave: true})
	}
	return actions{Fit: fit}
}
