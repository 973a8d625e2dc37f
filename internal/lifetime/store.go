package lifetime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/moby/sys/atomicwriter"

	"github.com/docker-kasm/docker-kasm/internal/leftover"
)

// Store is the file that entries are kept in.
type Store struct{ path string }

// OpenStore returns the store in a file, which is made when it is first saved.
// Its folder has to be there.
func OpenStore(path string) *Store { return &Store{path} }

const (
	storeVersion = 1
	// maxStore is far above what an engine's sessions need, in bytes.
	maxStore = 64 << 20
)

type storeFile struct {
	Version int `json:"Version"`
	// Sessions are the entries by container id.
	Sessions map[string]Entry `json:"Sessions"`
}

// Load returns the entries by container id. A file that cannot be read as such
// is set aside, under the same name with .bad added; there are then no entries,
// and an error that says so. What a write that was cut off left is removed.
func (s *Store) Load() (map[string]Entry, error) {
	leftover.Remove(filepath.Dir(s.path), filepath.Base(s.path))
	data, err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Entry{}, nil
	}
	if err == nil {
		var entries map[string]Entry
		if entries, err = decodeStore(data); err == nil {
			return entries, nil
		}
	}
	bad := s.path + ".bad"
	if moveErr := os.Rename(s.path, bad); moveErr != nil {
		err = errors.Join(err, moveErr)
	}
	return map[string]Entry{}, fmt.Errorf("read the lifetimes of sessions: %w; extensions are lost, and the file is set aside as %s", err, bad)
}

func (s *Store) read() ([]byte, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxStore+1))
}

var containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

func decodeStore(data []byte) (map[string]Entry, error) {
	if len(data) > maxStore {
		return nil, fmt.Errorf("larger than %d bytes", maxStore)
	}
	var file storeFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	if file.Version != storeVersion {
		return nil, fmt.Errorf("version %d is not known", file.Version)
	}
	entries := make(map[string]Entry, len(file.Sessions))
	for id, e := range file.Sessions {
		if !containerID.MatchString(id) {
			return nil, fmt.Errorf("%q is no container id", id)
		}
		if e.Limit.Tries < 0 || e.Idle.Tries < 0 || e.Rest != nil && e.Rest.Usage.CPU < 0 {
			return nil, fmt.Errorf("session %s has a number below zero", id)
		}
		entries[id] = e
	}
	return entries, nil
}

func encodeStore(entries map[string]Entry) ([]byte, error) {
	data, err := json.MarshalIndent(storeFile{storeVersion, entries}, "", "  ")
	return append(data, '\n'), err
}

// Save replaces the file as a whole, so that it lasts.
func (s *Store) Save(entries map[string]Entry) error {
	data, err := encodeStore(entries)
	if err == nil {
		err = atomicwriter.WriteFile(s.path, data, 0o600)
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.path))
	}
	if err != nil {
		return fmt.Errorf("keep the lifetimes of sessions: %w", err)
	}
	return nil
}

// syncDir makes a rename in dir last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
