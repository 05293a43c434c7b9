package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"guichet"
	"guichet/blocklist"
)

// folder is where a gateway keeps what a restart must not forget: the list, the
// highest version it has seen, its keys, and its lease. Each file is replaced as a
// whole. The list is written first: if we die between the two, the lease that is
// there was given for no more than the list has.
type folder string

const (
	listFile  = "blocklist"
	stateFile = "gateway.json"
)

// state is what is kept beside the list.
type state struct {
	Boot    string            `json:"boot"` // the start of the machine that the lease belongs to
	Lease   Lease             `json:"lease"`
	Highest blocklist.Version `json:"highest"`
	Keys    string            `json:"keys"`
	JWKS    json.RawMessage   `json:"jwks,omitempty"`
}

func stateError(err error) error {
	return &guichet.Error{
		Kind: guichet.Unavailable, Code: "gateway_state", Field: "state", Cause: err,
		Reason: "The folder in which the gateway keeps its list cannot be used.",
	}
}

// load reads what was kept. Nothing kept is no error; something unreadable is, and
// a person must look, for the highest version seen was in it.
func (f folder) load() (*blocklist.Set, state, error) {
	var s state
	set := blocklist.Empty(0)
	if f == "" {
		return set, s, nil
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, s, stateError(err)
	}
	b, err := os.ReadFile(filepath.Join(string(f), stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, s, stateError(err)
	default:
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, s, stateError(fmt.Errorf("%s: %w", stateFile, err))
		}
	}
	list, err := os.Open(filepath.Join(string(f), listFile))
	if errors.Is(err, fs.ErrNotExist) {
		return set, s, nil
	}
	if err != nil {
		return nil, s, stateError(err)
	}
	defer func() { _ = list.Close() }()
	if set, err = blocklist.ReadSnapshot(list); err != nil {
		return nil, s, stateError(err)
	}
	return set, s, nil
}

func (f folder) saveList(s *blocklist.Set) error { return f.replace(listFile, s.Write) }

func (f folder) saveState(s state) error {
	return f.replace(stateFile, func(w io.Writer) error { return json.NewEncoder(w).Encode(s) })
}

// replace writes a file beside the one it replaces and puts it in its place when
// it is on the disk: whoever reads finds the one or the other, whole.
func (f folder) replace(name string, write func(io.Writer) error) (err error) {
	if f == "" {
		return nil
	}
	next, err := os.CreateTemp(string(f), name+".*")
	if err != nil {
		return stateError(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(next.Name())
			err = stateError(err)
		}
	}()
	if err = errors.Join(write(next), next.Sync(), next.Close()); err != nil {
		return err
	}
	if err = os.Rename(next.Name(), filepath.Join(string(f), name)); err != nil {
		return err
	}
	dir, err := os.Open(string(f))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
