package simdatapass

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A memory is all that happened at the source, and what its visitors did to it; the
// rest of a Site is how it is set.
type memory struct {
	Requests   []*request
	Deliveries []*delivery
	Faults     []*fault
	Turns      map[string]int // how often the secrets of a provider were rotated
	IDs        int
	Attempts   int
	Touches    int
	Hold       bool
}

// KeepIn goes on from what a file of an earlier Site holds, if there is one, and
// keeps there whatever happens from now on. It comes before all else is called.
func (s *Site) KeepIn(file string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		s.file = file
		return nil
	}
	if err != nil {
		return err
	}
	kept := memory{Turns: map[string]int{}}
	if err := json.Unmarshal(text, &kept); err != nil {
		return fmt.Errorf("%s is not what a simulated DataPass keeps (without it, one begins with no request): %w", file, err)
	}
	for _, d := range kept.Deliveries { // each request has some
		if s.providers[d.Provider] == nil {
			return fmt.Errorf("%s: there is no provider %q any more", file, d.Provider)
		}
	}
	s.file, s.memory = file, kept
	return nil
}

// keep writes everything down, under the lock of whoever changed it. If we die here,
// the file is the one before: what was sent since is sent again, which the receiver
// has to expect anyway.
func (s *Site) keep() {
	if s.file == "" {
		return
	}
	text, err := json.Marshal(s.memory)
	if err == nil {
		err = os.WriteFile(s.file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(s.file+".new", s.file)
	}
	s.unkept = err
}
