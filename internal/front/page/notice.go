// Package page tells visitors, browsers and load balancers what is going on while the application is not there for them.
package page

import "time"

// Version is the version of the Notice as JSON. Within a version fields are only added.
const Version = 1

// Situation is why the application does not answer.
type Situation string

// The situations a visitor can meet.
const (
	Starting  Situation = "starting"
	Updating  Situation = "updating"
	Migrating Situation = "migrating"
	Failed    Situation = "failed"
	Standby   Situation = "standby"
	Unhealthy Situation = "unhealthy" // it was there, and will be again by itself
	Stopping  Situation = "stopping"
)

// Notice is what the public may know. It never holds a cause, a detail, a name of a host's file or anything of the
// environment beyond Vendor and Contact.
type Notice struct {
	Version   int        `json:"version"`
	Situation Situation  `json:"situation"`
	Since     time.Time  `json:"since,omitzero"`
	Steps     []Step     `json:"steps,omitempty"`    // of this start, oldest first
	Total     int        `json:"total,omitempty"`    // how many steps this start has; 0 is unknown, and no share is shown
	NextTry   *time.Time `json:"next_try,omitempty"` // when it is tried again without a person
	Site      string     `json:"site,omitempty"`     // the domain
	Vendor    string     `json:"vendor,omitempty"`
	Contact   string     `json:"contact,omitempty"`  // mail addresses, telephone numbers, addresses on the web in one line
	Language  string     `json:"language,omitempty"` // for browsers that ask for neither English nor German: "en" or "de"
}

// Step is one step of a phase, done, under way or failed; names are those of docs/operator.md.
type Step struct {
	Phase   string        `json:"phase"`
	Name    string        `json:"name"`
	State   string        `json:"state"` // "running", "done", "unchanged", "failed"
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took_ns,omitempty"`
}
