package machine

import (
	"encoding/json"
	"maps"
	"time"
)

// Record is what a machine knows of itself across restarts of the process and of the host.
type Record struct {
	State    State         `json:"state"`
	On       Event         `json:"on"`                 // the event that led here
	Since    time.Time     `json:"since"`              // when the state was entered
	Attempts map[State]int `json:"attempts,omitempty"` // entries of a state since it was last got through
	Failure  *Failure      `json:"failure,omitempty"`  // the last one; kept after it is cleared until the machine is proven
	// Data belongs to the policy: one document a subject. Readers must keep what they do not know.
	Data map[string]json.RawMessage `json:"data,omitempty"`

	extra map[string]json.RawMessage // fields this version does not know, kept
}

// Failure says what went wrong, where, and how often.
type Failure struct {
	State  State     `json:"state"`
	Step   string    `json:"step,omitempty"`
	Cause  string    `json:"cause"`
	Remedy string    `json:"remedy,omitempty"`
	First  time.Time `json:"first_seen"`
	Last   time.Time `json:"last_seen"`
	Tries  int       `json:"tries"`
	// MayPass says that the cause may pass by itself (remedy.MayPass).
	MayPass bool `json:"may_pass,omitempty"`
}

// after counts f on from the failure before it, if that is the same one.
func (f Failure) after(before *Failure) *Failure {
	if before != nil && before.State == f.State && before.Step == f.Step && before.Cause == f.Cause {
		f.First, f.Tries = before.First, before.Tries+1
	}
	return &f
}

func (r Record) clone() Record {
	r.Attempts = maps.Clone(r.Attempts)
	if r.Attempts == nil {
		r.Attempts = map[State]int{}
	}
	r.Data = maps.Clone(r.Data)
	if r.Failure != nil {
		f := *r.Failure
		r.Failure = &f
	}
	return r
}

// Get decodes the policy's document on subject into v and says whether there was one.
func (r Record) Get(subject string, v any) (bool, error) {
	data, ok := r.Data[subject]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(data, v)
}

// Put stores v as the policy's document on subject.
func (r *Record) Put(subject string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if r.Data == nil {
		r.Data = map[string]json.RawMessage{}
	}
	r.Data[subject] = data
	return nil
}
