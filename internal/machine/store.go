package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"path/filepath"

	"appliance/internal/system"
)

// Version is the version of the record's format. Within a version fields are only added: a reader keeps what it does
// not know.
const Version = 1

// Store keeps the newest record and the one before it in two slots. A save replaces the older slot, so whatever tears
// it, the other one stands.
type Store struct {
	sys *system.System
	dir string
	log *slog.Logger
	seq uint64 // of the newest record known
}

// NewStore returns the store below dir.
func NewStore(sys *system.System, dir string, log *slog.Logger) *Store {
	return &Store{sys: sys, dir: dir, log: log}
}

// Dir is where the slots lie.
func (s *Store) Dir() string { return s.dir }

// slotFile is what stands in a slot.
type slotFile struct {
	Format   string          `json:"format"`
	Version  int             `json:"version"`
	Sequence uint64          `json:"sequence"`
	Checksum string          `json:"checksum"` // SHA-256 over sequence and record as they stand here
	Record   json.RawMessage `json:"record"`
}

const format = "appliance-record"

// outbid is the sequence number of a newer program's record, else 0. Its checksum may be another one, so that a number
// no machine gets to must not leave us without a next one.
func (f slotFile) outbid() uint64 {
	if f.Format != format || f.Version < Version || f.Sequence > math.MaxInt64 {
		return 0
	}
	return f.Sequence
}

func (s *Store) slot(seq uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("record.%d.json", seq%2))
}

// Load answers the newest readable record, or an empty one when there is none. A slot that is there and cannot be read
// is reported as a warning, because the machine then goes on from the generation before it. Only
// a record that we may not read is an error.
func (s *Store) Load() (Record, error) {
	var best Record
	var newest uint64 // of those we can read
	s.seq = 0
	for slot := range uint64(2) {
		rec, seq, err := s.read(s.slot(slot))
		s.seq = max(s.seq, seq)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, fs.ErrPermission) {
			return Record{}, err
		}
		if err != nil {
			s.log.Warn("a generation of the state record is damaged; going on from the other one", "file", s.slot(slot), "err", err)
			continue
		}
		if seq > newest {
			best, newest = rec, seq
		}
	}
	return best.clone(), nil
}

// read answers the record at path and its sequence number. Of a newer program's record it answers the number, which has
// to be outbid, and an error.
func (s *Store) read(path string) (Record, uint64, error) {
	data, err := s.sys.ReadFile(path)
	if err != nil {
		return Record{}, 0, err
	}
	var file slotFile
	if err := json.Unmarshal(data, &file); err != nil {
		return Record{}, 0, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if file.Format != format || file.Version != Version {
		return Record{}, file.outbid(), fmt.Errorf("cannot read %s: it holds %s version %d, this program reads version %d", path, file.Format, file.Version, Version)
	}
	if sum := checksum(file.Sequence, file.Record); sum != file.Checksum {
		return Record{}, 0, fmt.Errorf("cannot read %s: its checksum is %s, not %s", path, sum, file.Checksum)
	}
	var rec Record
	if err := errors.Join(json.Unmarshal(file.Record, &rec), json.Unmarshal(file.Record, &rec.extra)); err != nil {
		return Record{}, 0, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return rec, file.Sequence, nil
}

// Save makes rec the newest record, durably.
func (s *Store) Save(rec *Record) error {
	body, err := encode(rec)
	if err != nil {
		return err
	}
	file := slotFile{Format: format, Version: Version, Sequence: s.seq + 1, Checksum: checksum(s.seq+1, body), Record: body}
	data, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("cannot encode state record: %w", err)
	}
	if err := s.sys.WriteFile(s.slot(file.Sequence), append(data, '\n'), 0o600); err != nil {
		return err
	}
	s.seq = file.Sequence
	return nil
}

// encode renders rec with the unknown fields it was read with.
func encode(rec *Record) (json.RawMessage, error) {
	known, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("cannot encode state record: %w", err)
	}
	if len(rec.extra) == 0 {
		return known, nil
	}
	var fields, ours map[string]json.RawMessage
	if err := json.Unmarshal(known, &fields); err != nil {
		return nil, fmt.Errorf("cannot encode state record: %w", err)
	}
	ours = maps.Clone(rec.extra)
	for _, name := range []string{"state", "on", "since", "attempts", "failure", "data"} {
		delete(ours, name)
	}
	maps.Copy(ours, fields)
	return json.Marshal(ours)
}

func checksum(seq uint64, body []byte) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", seq, body))
	return "sha256:" + hex.EncodeToString(sum[:])
}
