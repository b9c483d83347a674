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
	Version  int               `json:"version"`
	State    string            `json:"state"`
	Since    time.Time         `json:"since"`
	Summary  string            `json:"summary"` // one line for people
	Step     string            `json:"step,omitempty"`
	Steps    []Step            `json:"steps,omitempty"`    // of this start, oldest first
	Services []compose.Service `json:"services,omitempty"` // as last seen
	URLs     []string          `json:"urls,omitempty"`
	Healthy  bool              `json:"healthy"`
	Resting  bool              `json:"resting"` // nothing is left to do: it watches, stands by, or has failed
	// TroubleSince is when what runs was seen out of health; nil: it is not.
	TroubleSince *time.Time     `json:"trouble_since,omitempty"`
	Failure      *Failure       `json:"failure,omitempty"`
	Warnings     []Warning      `json:"warnings,omitempty"` // oldest first; without a supervisor nobody knows of any
	Attempts     map[string]int `json:"attempts,omitempty"`
	Env          *EnvInfo       `json:"env,omitempty"`
	Trial        *Trial         `json:"trial,omitempty"`      // of an environment: under way, or the last one
	Front        *Front         `json:"front,omitempty"`      // nil: nobody of ours answers visitors
	Supervisor   *Supervisor    `json:"supervisor,omitempty"` // nil: none runs, and this is from the record
}

// Warning is what an operator should know before it is a failure.
type Warning struct {
	// Code says which kind it is: "space-warn", "space-hold", "space-protect", "volume-doubt", "vault-key-expires",
	// "vault-key-expired", "certificate-expires", "certificate-expired", "certificate-passed-over", "certificate-clock",
	// "certificate-self-signed", "old-directory". There may be several of one, and others will come.
	Code   string    `json:"code"`
	Since  time.Time `json:"since"` // when this supervisor first saw it
	Text   string    `json:"text"`
	Remedy string    `json:"remedy,omitempty"`
}

// Front is who answers visitors.
type Front struct {
	Mode      string   `json:"mode"`                // "builtin", "external", "off"
	Listening []string `json:"listening,omitempty"` // "https://0.0.0.0:443"
	PID       int      `json:"pid,omitempty"`       // of the worker
	Trouble   string   `json:"trouble,omitempty"`   // why it does not answer
}

// Certificate is the answer of GET /v1/certificate: what the site shows, and how it goes on.
type Certificate struct {
	Version   int        `json:"version"`
	Source    string     `json:"source"` // "supplied", "imported", "acme", "adopted", "self-signed"; "" is none yet
	Names     []string   `json:"names,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	SHA256    string     `json:"sha256,omitempty"`
	NotBefore time.Time  `json:"not_before,omitzero"`
	NotAfter  time.Time  `json:"not_after,omitzero"`
	Authority string     `json:"authority,omitempty"` // address of the ACME directory it came from
	RenewAt   *time.Time `json:"renew_at,omitempty"`
	Tries     int        `json:"tries,omitempty"` // to renew it that failed
	LastError string     `json:"last_error,omitempty"`
	NextTry   *time.Time `json:"next_try,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// ImportRequest is the body of POST /v1/certificate/import.
type ImportRequest struct {
	Key   string `json:"key"`   // PEM
	Chain string `json:"chain"` // PEM, leaf first
}

// Storage is the answer of GET /v1/storage: the file systems that the appliance's data lies on, and what lies where.
type Storage struct {
	Version int      `json:"version"`
	Volumes []Volume `json:"volumes"`
	Places  []Place  `json:"places,omitempty"`
	Locks   []Lock   `json:"locks,omitempty"`
	// Aside are paths of what was in the way of the layout, and was moved.
	Aside []string `json:"aside,omitempty"`
}

// Volume is one file system; sizes are in bytes.
type Volume struct {
	Path     string `json:"path"` // "/", "/data", "/volatile"
	Size     uint64 `json:"size"`
	Free     uint64 `json:"free"` // for everybody but root
	Files    uint64 `json:"files_free"`
	Level    string `json:"level,omitempty"`    // "ample", "warn", "hold", "protect": how little is free
	Label    string `json:"label,omitempty"`    // that it is found by
	Required bool   `json:"required,omitempty"` // a file system of its own with the label
	Mounted  bool   `json:"mounted,omitempty"`  // one is mounted there
	Source   string `json:"source,omitempty"`   // "/dev/vdb1"
	Type     string `json:"type,omitempty"`     // "ext4"
	ReadOnly bool   `json:"read_only,omitempty"`
	Problem  string `json:"problem,omitempty"` // why it cannot be used, or what is doubtful
	ToDo     string `json:"what_to_do,omitempty"`
}

// Lock is an encrypted volume of the environment.
type Lock struct {
	Name   string `json:"name"`   // /dev/mapper/Name when it is open
	Device string `json:"device"` // as the environment names it
	State  string `json:"state"`  // "open", "locked", "missing"
}

// Place is a directory of the layout.
type Place struct {
	Path   string `json:"path"`
	Link   string `json:"link,omitempty"`   // that leads to it
	Volume string `json:"volume,omitempty"` // "data" must last, "volatile" can be made again
	Mode   string `json:"mode,omitempty"`   // "0750"
	Owner  string `json:"owner,omitempty"`  // "1000:1000"
	For    string `json:"for"`
	State  string `json:"state"` // "ready", "missing", "unused", or what is wrong
}

// LogLine is one line of GET /v1/log, which streams the supervisor's own log as server-sent events.
type LogLine struct {
	ID    uint64    `json:"id"`
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	Text  string    `json:"text"`
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
	Kind    string    `json:"kind"` // "state", "step", "service", "progress", "warning", "certificate"
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
