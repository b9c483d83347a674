package nginx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ChallengeDir is where nginx finds the answers to ACME's HTTP-01 challenges, one file a token.
const ChallengeDir = etc + "/dehydrated/acme-challenge"

// A token and a key authorization are base64url (RFC 8555, 8.1); the latter ends in a SHA-256.
var (
	token         = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`) })
	authorization = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}\.[A-Za-z0-9_-]{43}$`) })
)

const maxAuthorization = 512 // bytes

// Challenges makes nginx answer these challenges, key authorizations by their tokens, and no others. What a process that
// was killed has left is taken away too; files that are no answers stay.
func (s *Server) Challenges(want map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, answer := range want {
		if !token().MatchString(name) || !authorization().MatchString(answer) || !strings.HasPrefix(answer, name+".") {
			return fmt.Errorf("cannot answer a challenge: %q is no token with its key authorization", name)
		}
	}
	entries, err := os.ReadDir(s.System.Path(ChallengeDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for answers to challenges: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if _, wanted := want[name]; wanted || !s.answers(name) {
			continue
		}
		if err := s.System.Remove(path.Join(ChallengeDir, name)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if s.answer(name) == want[name] {
			continue
		}
		if err := s.System.WriteFile(path.Join(ChallengeDir, name), []byte(want[name]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// answers says whether a file is the answer to a challenge, by its own word.
func (s *Server) answers(name string) bool {
	return token().MatchString(name) && authorization().MatchString(s.answer(name)) && strings.HasPrefix(s.answer(name), name+".")
}

// answer is what is in the file of a token, "" if that cannot be read. Another user may own the directory: neither a link
// nor a pipe in it is followed.
func (s *Server) answer(name string) string {
	file, err := os.OpenFile(s.System.Path(path.Join(ChallengeDir, name)), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(file, maxAuthorization+1))
	if err != nil || len(data) > maxAuthorization {
		return ""
	}
	return string(data)
}
