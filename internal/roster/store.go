package roster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/moby/sys/atomicwriter"

	"github.com/docker-kasm/docker-kasm/internal/folder"
	"github.com/docker-kasm/docker-kasm/internal/leftover"
)

const (
	extension = ".toml"
	// maxFile is ample for a record, in bytes.
	maxFile = 64 << 10
)

// Mark is a file in the folder of a marked store, which is there as long as there
// are records: who can only look for a file knows by it whether to ask.
const Mark = ".some"

// Store is a folder with a file for each record.
type Store struct {
	dir    string
	marked bool
}

// FileError says that a record cannot be read.
type FileError struct {
	// Name is the file's, without its extension.
	Name, Path string
	Err        error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("read the record of a session %s: %s; mend the file, or remove it", e.Path, e.Err)
}

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// Open returns the records in dir, which is made with the first one.
func Open(dir string) *Store { return &Store{dir: dir} }

// OpenMarked is Open for a store that keeps Mark.
func OpenMarked(dir string) *Store { return &Store{dir: dir, marked: true} }

func (s *Store) path(id string) string { return filepath.Join(s.dir, id+extension) }

// List returns the records that can be read, oldest first, and the errors of all
// others joined: a bad file hides no good one.
func (s *Store) List(context.Context) ([]Record, error) {
	files, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the records of sessions: %w", err)
	}
	var list []Record
	var errs []error
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), extension)
		if !ok || f.IsDir() || strings.HasPrefix(id, ".") {
			continue
		}
		switch r, err := read(id, s.path(id)); {
		case errors.Is(err, fs.ErrNotExist): // removed since the folder was read
		case err != nil:
			errs = append(errs, &FileError{Name: id, Path: s.path(id), Err: err})
		default:
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b Record) int { return a.Created.Compare(b.Created) })
	return list, errors.Join(errs...)
}

// read reads a regular file of a size that a record can have: a pipe of that name
// would block for ever. Keys it does not know are a later version's.
func read(id, path string) (Record, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Record{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return Record{}, fmt.Errorf("it is no regular file of at most %d bytes", maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	r := Record{}
	if _, err := toml.NewDecoder(io.LimitReader(f, maxFile)).Decode(&r); err != nil {
		return Record{}, err
	}
	r.ID = id
	return r, r.Check()
}

// Add writes a new record; ErrExists if there is one of that id, or of a server
// session of that name.
func (s *Store) Add(ctx context.Context, r Record) error {
	if err := r.Check(); err != nil {
		return fmt.Errorf("record session %q: %w", r.Name, err)
	}
	var data bytes.Buffer
	if err := toml.NewEncoder(&data).Encode(r); err != nil {
		return fmt.Errorf("record session %q: %w", r.Name, err)
	}
	return s.locked(ctx, func() error {
		if _, err := os.Lstat(s.path(r.ID)); err == nil {
			// One that cannot be read tells nobody that it is there.
			err := ErrExists
			if _, bad := read(r.ID, s.path(r.ID)); bad != nil {
				err = &FileError{Name: r.ID, Path: s.path(r.ID), Err: bad}
			}
			return fmt.Errorf("record session %q: %w", r.Name, err)
		}
		// What cannot be read has no name that could be taken.
		list, _ := s.List(ctx)
		if r.Kind == Server && slices.ContainsFunc(list, func(o Record) bool { return o.Kind == Server && o.Name == r.Name }) {
			return fmt.Errorf("record session %q: %w: choose another --name", r.Name, ErrExists)
		}
		if err := atomicwriter.WriteFile(s.path(r.ID), data.Bytes(), 0o600); err != nil {
			return fmt.Errorf("record session %q: %w", r.Name, err)
		}
		return nil
	})
}

// Remove removes a record; one that is gone already counts as removed.
func (s *Store) Remove(ctx context.Context, id string) error {
	if err := ValidID(id); err != nil {
		return err
	}
	if _, err := os.Lstat(s.path(id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.locked(ctx, func() error {
		if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the record of session %s: %w", id, err)
		}
		return nil
	})
}

// Sweep removes what a process that was killed has left of a file it was writing,
// as each write does.
func (s *Store) Sweep(ctx context.Context) error {
	return s.locked(ctx, func() error { return nil })
}

// locked keeps other processes' changes out while do runs, and removes what one
// that was killed has left of a file it was writing.
func (s *Store) locked(ctx context.Context, do func() error) error {
	return folder.Locked(ctx, s.dir, "the records of sessions", func() error {
		leftover.Remove(s.dir, "")
		return errors.Join(do(), s.mark())
	})
}

// mark makes or removes Mark, whether the records can be read or not.
func (s *Store) mark() error {
	if !s.marked {
		return nil
	}
	path := filepath.Join(s.dir, Mark)
	files, err := filepath.Glob(filepath.Join(s.dir, "*"+extension))
	switch {
	case err != nil:
	case len(files) > 0:
		err = os.WriteFile(path, nil, 0o600)
	default:
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("mark that there are records of sessions: %w", err)
	}
	return nil
}
