package task

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"
	"github.com/moby/sys/atomicwriter"
)

const (
	taskExtension = ".json"
	logExtension  = ".log"
	// asideDir is where files go that cannot be read.
	asideDir = "unreadable"
	// temporary matches the files that were not whole when a helper was killed.
	temporary = ".tmp-*"
)

// journal is a folder with a file for each task, and one for each log. One
// process has it at a time.
type journal struct {
	dir  string
	lock *flock.Flock
	// around is given each change of a file to make, nil makes it: tests look at
	// the folder before and after, or let it fail.
	around func(change, name string, do func() error) error

	// mu keeps changes out once the folder may be another process's.
	mu     sync.RWMutex
	closed bool
}

func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of tasks: %w", err)
	}
	path := filepath.Join(dir, ".lock")
	lock := flock.New(path, flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the folder of tasks: %w", err)
	}
	if !got {
		return nil, fmt.Errorf("open the folder of tasks %s: %w: end that one first", dir, ErrInUse)
	}
	return &journal{dir: dir, lock: lock}, nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	return j.lock.Close()
}

// change makes one change to the folder, unless it is given up.
func (j *journal) change(what, name string, do func() error) error {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return ErrClosed
	}
	if j.around != nil {
		return j.around(what, name, do)
	}
	return do()
}

func (j *journal) path(name string) string { return filepath.Join(j.dir, name) }

// save writes a task's file, whole or not at all.
func (j *journal) save(t Task) error {
	data, err := encode(t)
	if err != nil {
		return fmt.Errorf("write task %s: %w", t.ID, err)
	}
	name := t.ID + taskExtension
	err = j.change("write", name, func() error {
		if err := atomicwriter.WriteFile(j.path(name), data, 0o600); err != nil {
			return err
		}
		return syncDir(j.dir)
	})
	if err != nil {
		return fmt.Errorf("write task %s: %w", t.ID, err)
	}
	return nil
}

// remove deletes a file, if it is there.
func (j *journal) remove(name string) error {
	return j.change("remove", name, func() error {
		if err := os.Remove(j.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(j.dir)
	})
}

// load reads all tasks, in the order in which they were queued. What cannot be
// read is set aside, and told.
func (j *journal) load() (tasks []Task, bad []error, err error) {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read the folder of tasks: %w", err)
	}
	named := map[string]bool{}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), taskExtension)
		if !ok || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		named[id] = true
		t, whole, err := j.read(id)
		switch {
		case err == nil:
			tasks = append(tasks, t)
		case !whole: // by a later start it may be readable
			bad = append(bad, fmt.Errorf("read task %q: %w; it is left where it is", id, err))
		default:
			bad = append(bad, fmt.Errorf("read task %q: %w; %s", id, err, j.setAside(id)))
		}
	}
	j.sweep(files, named)
	slices.SortFunc(tasks, func(a, b Task) int {
		return cmp.Or(a.Queued.Compare(b.Queued), strings.Compare(a.ID, b.ID))
	})
	return tasks, bad, nil
}

// read reads one task's file. whole is unset when the disk would not give it.
func (j *journal) read(id string) (t Task, whole bool, err error) {
	path := j.path(id + taskExtension)
	info, err := os.Lstat(path)
	if err != nil {
		return Task{}, false, err
	}
	if !info.Mode().IsRegular() { // a pipe would block for ever
		return Task{}, true, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return Task{}, false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Task{}, false, err
	}
	if len(data) > maxFile {
		return Task{}, true, fmt.Errorf("it is larger than the %d bytes a task may have", maxFile)
	}
	t, err = decode(id, data)
	return t, true, err
}

// setAside moves a task's files out of the way, over no other, and tells where.
// The log goes first: without its task it would be swept.
func (j *journal) setAside(id string) string {
	aside := j.path(asideDir)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err.Error()
	}
	to := filepath.Join(aside, id)
	for n := 2; taken(to+taskExtension) || taken(to+logExtension); n++ {
		to = filepath.Join(aside, fmt.Sprintf("%s-%d", id, n))
	}
	for _, extension := range []string{logExtension, taskExtension} {
		err := j.change("set aside", id+extension, func() error { return os.Rename(j.path(id+extension), to+extension) })
		if err != nil && (extension == taskExtension || !errors.Is(err, fs.ErrNotExist)) {
			return err.Error()
		}
	}
	return "it is now " + to + taskExtension
}

func taken(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// sweep removes what a helper that was killed has left: files that are not
// whole, and logs of tasks that were being removed.
func (j *journal) sweep(files []os.DirEntry, named map[string]bool) {
	for _, f := range files {
		half, _ := filepath.Match(temporary, f.Name())
		id, isLog := strings.CutSuffix(f.Name(), logExtension)
		if half || isLog && ValidID(id) && !named[id] {
			_ = j.remove(f.Name()) // in nobody's way
		}
	}
}
