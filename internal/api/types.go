// Package api is how the rest of the world talks to the supervisor: HTTP and JSON over a Unix socket that knows its
// peers. The command line, the page and the terminal view are clients of it.
package api

import (
	"time"

	"appliance/internal/compose"
)

// Version is the version of the API and of every document it answers. Within a version fields are only added.
const Version = 1

// SocketPath is where the supervisor listens.
const SocketPath = "/run/appliance.sock"

// Status is the answer of GET /v1/status.
type Status struct {
	Version    int               `json:"version"`
	State      string            `json:"state"`
	Since      time.Time         `json:"since"`
	Summary    string            `json:"summary"` // one line for people
	Step       string            `json:"step,omitempty"`
	Steps      []Step            `json:"steps,omitempty"`    // of this start, oldest first
	Services   []compose.Service `json:"services,omitempty"` // as last seen
	URLs       []string          `json:"urls,omitempty"`
	Healthy    bool              `json:"healthy"`
	Resting    bool              `json:"resting"` // nothing is left to do: it watches, stands by, or has failed
	Failure    *Failure          `json:"failure,omitempty"`
	Attempts   map[string]int    `json:"attempts,omitempty"`
	Env        *EnvInfo          `json:"env,omitempty"`
	Trial      *Trial            `json:"trial,omitempty"`      // of an environment: under way, or the last one
	Supervisor *Supervisor       `json:"supervisor,omitempty"` // nil: none runs, and this is from the record
}

// Step is one step of a phase, done or under way.
type Step struct {
	Phase   string        `json:"phase"`
	Name    string        `json:"name"`
	State   string        `json:"state"` // "running", "done", "unchanged", "failed"
	Detail  string        `json:"detail,omitempty"`
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took_ns,omitempty"`
}

// Failure says what went wrong and what to do. It is also what stands in /run/appliance-failed.
type Failure struct {
	Version int       `json:"version"`
	Phase   string    `json:"phase"`
	Step    string    `json:"step,omitempty"`
	Cause   string    `json:"cause"`
	First   time.Time `json:"first_seen"`
	Last    time.Time `json:"last_seen"`
	Tries   int       `json:"tries"`
	ToDo    string    `json:"what_to_do"`
	// NextTry is when it is tried again without a person, because the cause may pass by itself.
	NextTry *time.Time `json:"next_try,omitempty"`
}

// EnvInfo names the active environment without telling what is in it.
type EnvInfo struct {
	Origin string `json:"origin"`
	SHA256 string `json:"sha256"`
}

// TryRequest is the body of POST /v1/try.
type TryRequest struct {
	Document string        `json:"document"` // a whole environment
	For      time.Duration `json:"for_ns"`
}

// Trial is an environment in force for a time, after which the appliance goes back unless somebody confirms.
type Trial struct {
	Version int       `json:"version"`
	Until   time.Time `json:"until"`
	Changes []Change  `json:"changes,omitempty"` // in the answer to POST /v1/try: what it brings
	Outcome string    `json:"outcome,omitempty"` // how it ended; "" is under way
}

// Supervisor is the process that answers.
type Supervisor struct {
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
}

// Plan is the answer of GET /v1/plan: what a start now would change.
type Plan struct {
	Version int      `json:"version"`
	Changes []Change `json:"changes"`
}

// Change is one line of a plan.
type Change struct {
	Phase  string `json:"phase"`
	Step   string `json:"step"`
	Action string `json:"action"`
	Why    string `json:"why"`
}

// Event is one line of GET /v1/events.
type Event struct {
	Version int       `json:"version"`
	ID      uint64    `json:"id"`
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"` // "state", "step", "service", "progress", "warning"
	Text    string    `json:"text"`

	State   string `json:"state,omitempty"`
	Phase   string `json:"phase,omitempty"`
	Step    string `json:"step,omitempty"`
	Service string `json:"service,omitempty"`
}

// Error is the body of an answer that is none.
type Error struct {
	Message string `json:"error"`
	Remedy  string `json:"remedy,omitempty"`
}
