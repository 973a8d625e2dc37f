// Package shelf keeps the engine's catalog in memory, as its files are: they may
// be edited by hand at any time.
package shelf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/moby/sys/atomicwriter"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/leftover"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const (
	// settle is how long after a change of the folder it is read, as editors
	// make several.
	settle = 50 * time.Millisecond
	// again is how often it is read anyway: not every file system tells of
	// changes.
	again = 30 * time.Second
)

// Entry is a workspace file as it was last read.
type Entry struct {
	Name string
	// Text is the file, and Revision its SHA-256 in hex.
	Text     string
	Revision string
	// Workspace is what the file says, nil where Err is set.
	Workspace *workspace.Workspace
	Err       error
	// Changed tells who changed it last.
	Changed Change
	stat    stamp
}

// Change tells who changed a file, "" if that was done to the file itself, and
// when.
type Change struct {
	By   string
	Time time.Time
}

// stamp tells versions of a file apart without reading it.
type stamp struct {
	size    int64
	changed time.Time
}

// Shelf is the catalog in a folder.
type Shelf struct {
	catalog *workspace.Catalog
	log     *slog.Logger
	// writing is held by whoever changes files, and while they are read.
	writing sync.Mutex

	mu      sync.RWMutex
	entries map[string]Entry
	authors map[string]author
	watch   func([]*workspace.Workspace)
}

// author is who wrote a revision.
type author struct {
	Revision string
	By       string
	Time     time.Time
}

// Open reads the catalog in dir, which is made if it is not there. changed is
// told the workspaces now and after each change.
func Open(dir string, log *slog.Logger, changed func([]*workspace.Workspace)) (*Shelf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the catalog's folder: %w", err)
	}
	s := &Shelf{catalog: workspace.Open(dir), log: log, entries: map[string]Entry{}, authors: map[string]author{}, watch: changed}
	s.sweep()
	s.readAuthors()
	return s, s.Reload()
}

// sweep removes the files that were not whole when a helper was killed.
func (s *Shelf) sweep() {
	leftover.Remove(s.catalog.Dir(), authorsFile)
	if err := s.catalog.Sweep(context.Background()); err != nil {
		s.log.Warn("what a helper left that was killed is removed by the next change of a workspace", "error", err)
	}
}

// Watch reads files again as they change, until ctx ends.
func (s *Shelf) Watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(s.catalog.Dir())
	}
	if err != nil {
		s.log.Warn("the catalog's folder is read every while only", "every", again, "error", err)
		watcher = &fsnotify.Watcher{}
	}
	ticker := time.NewTicker(again)
	defer ticker.Stop()
	soon := time.NewTimer(0)
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-watcher.Events:
			if filepath.Ext(e.Name) == ".toml" && !strings.HasPrefix(filepath.Base(e.Name), ".") {
				soon.Reset(settle)
			}
			continue
		case err := <-watcher.Errors:
			s.log.Warn("changes of the catalog were missed: it is read again", "error", err)
		case <-soon.C:
		case <-ticker.C:
		}
		if err := s.Reload(); err != nil {
			s.log.Error("read the catalog", "error", err)
		}
	}
}

// Reload reads the files that have changed since they were last read.
func (s *Shelf) Reload() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.reload()
}

func (s *Shelf) reload() error {
	names, err := s.catalog.Names()
	if err != nil {
		return err
	}
	s.mu.RLock()
	old := s.entries
	s.mu.RUnlock()
	// Reading is most of the work: one goroutine for each processor does it.
	found := make([]Entry, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		before, known := old[name]
		group.Go(func() error {
			found[i] = s.look(name, before, known)
			return nil
		})
	}
	_ = group.Wait() // entries have errors of their own
	next := make(map[string]Entry, len(names))
	for _, e := range found {
		if e.Name != "" {
			next[e.Name] = e
		}
	}
	changed := !maps.EqualFunc(old, next, func(a, b Entry) bool {
		return a.Revision == b.Revision && (a.Err == nil) == (b.Err == nil)
	})
	s.mu.Lock()
	s.entries = next
	s.mu.Unlock()
	if changed {
		s.watch(s.Workspaces())
	}
	return nil
}

// look reads a file if it has changed since; an entry without a name says that it
// is gone.
func (s *Shelf) look(name string, before Entry, known bool) Entry {
	file := filepath.Join(s.catalog.Dir(), name+".toml")
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		// A link that leads nowhere is there, and is reported.
		if _, err := os.Lstat(file); err != nil {
			return Entry{}
		}
	}
	var now stamp
	if err == nil {
		now = stamp{info.Size(), info.ModTime()}
	}
	// A file changed twice within a tick of the file system's clock looks the
	// same: one that is young is read again.
	if known && before.stat == now && time.Since(now.changed) > 2*time.Second {
		return before
	}
	return s.read(name, now)
}

func (s *Shelf) read(name string, now stamp) Entry {
	e := Entry{Name: name, stat: now, Changed: Change{Time: now.changed}}
	data, revision, err := s.catalog.Raw(context.Background(), name)
	if err == nil {
		e.Text, e.Revision = string(data), revision
		e.Workspace, err = workspace.Decode(name, name+".toml", data)
	}
	if e.Err = err; err != nil {
		s.log.Warn("a workspace file cannot be read", "name", name, "error", err)
	}
	if a := s.authors[name]; a.Revision == e.Revision && e.Revision != "" {
		e.Changed = Change{a.By, a.Time}
	}
	return e
}

// List returns all entries, sorted by name.
func (s *Shelf) List() []Entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := slices.Collect(maps.Values(s.entries))
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Workspaces returns those whose files can be read, sorted by name.
func (s *Shelf) Workspaces() []*workspace.Workspace {
	var list []*workspace.Workspace
	for _, e := range s.List() {
		if e.Workspace != nil {
			list = append(list, e.Workspace)
		}
	}
	return list
}

// Get returns one entry; an error that is workspace.ErrNotFound if there is none.
func (s *Shelf) Get(name string) (Entry, error) {
	if err := workspace.ValidName(name); err != nil {
		return Entry{}, err
	}
	s.mu.RLock()
	e, ok := s.entries[name]
	s.mu.RUnlock()
	if ok {
		return e, nil
	}
	_, err := s.catalog.Get(context.Background(), name)
	if err == nil {
		err = fmt.Errorf("workspace %q was added this moment: ask again", name)
	}
	return Entry{}, err
}

// Create adds a workspace in the name of who asks.
func (s *Shelf) Create(ctx context.Context, by, name string, data []byte) (Entry, error) {
	return s.change(by, name, func() (*workspace.Workspace, error) { return s.catalog.CreateRaw(ctx, name, data) })
}

// Replace writes a whole new text; revision is that of the file the caller saw,
// "" for any.
func (s *Shelf) Replace(ctx context.Context, by, name, revision string, data []byte) (Entry, error) {
	return s.change(by, name, func() (*workspace.Workspace, error) { return s.catalog.Replace(ctx, name, revision, data) })
}

// Remove deletes a workspace's file, under the same rules as Replace.
func (s *Shelf) Remove(ctx context.Context, name, revision string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.catalog.Remove(ctx, name, revision); err != nil {
		return err
	}
	delete(s.authors, name)
	s.keepAuthors()
	return s.reload()
}

func (s *Shelf) change(by, name string, do func() (*workspace.Workspace, error)) (Entry, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	ws, err := do()
	if err != nil {
		return Entry{}, err
	}
	s.authors[name] = author{Revision: ws.Revision, By: by, Time: time.Now()}
	s.keepAuthors()
	if err := s.reload(); err != nil {
		return Entry{}, err
	}
	return s.Get(name)
}

// authorsFile is no workspace's: their names do not begin with a dot.
const authorsFile = ".authors.json"

func (s *Shelf) readAuthors() {
	data, err := os.ReadFile(filepath.Join(s.catalog.Dir(), authorsFile))
	if err == nil {
		err = json.Unmarshal(data, &s.authors)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("who changed the workspaces is not known", "error", err)
	}
	if s.authors == nil {
		s.authors = map[string]author{}
	}
}

func (s *Shelf) keepAuthors() {
	data, err := json.Marshal(s.authors)
	if err == nil {
		err = atomicwriter.WriteFile(filepath.Join(s.catalog.Dir(), authorsFile), data, 0o600)
	}
	if err != nil {
		s.log.Warn("who changed a workspace is not kept", "error", err)
	}
}
