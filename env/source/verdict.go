package source

import "time"

// Outcome is what became of asking a source.
type Outcome string

// The outcomes. Broken is that of a source which exists and could not hand out its document.
const (
	Found    Outcome = "found"
	Nothing  Outcome = "nothing"
	Broken   Outcome = "broken"
	NotAsked Outcome = "not asked"
)

// Verdict tells how one source was asked. It holds nothing of a document and no password of an address.
type Verdict struct {
	Source  string        `json:"source"` // as UserData.Source
	Place   string        `json:"place"`  // which of the places that share this name
	Outcome Outcome       `json:"outcome"`
	Detail  string        `json:"detail"`           // where it was found, or why not
	Cached  bool          `json:"cached,omitempty"` // the document that ran here before stands in; Detail says why
	Took    time.Duration `json:"took_ns"`
}

// Result is what a search has found, and its verdict on every source in their order.
type Result struct {
	Found   *UserData `json:"found"`  // nil: nobody has a document
	Cached  bool      `json:"cached"` // Found is Config.Cached
	Sources []Verdict `json:"sources"`
}
