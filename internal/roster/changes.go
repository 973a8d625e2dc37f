package roster

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// Changes tells that the records may be others by now, until ctx ends. The folder
// need not be there yet. Where nobody can tell, as with some network file systems,
// the channel stays silent; it is never closed.
func (s *Store) Changes(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return changed
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return changed
	}
	f := &follower{dir: dir, watcher: watcher}
	f.follow()
	go func() {
		defer watcher.Close()
		for {
			tell := false
			select {
			case <-ctx.Done():
				return
			case e := <-watcher.Events:
				tell = f.tells(e)
			case err := <-watcher.Errors:
				tell = err != nil // some may have been missed
			}
			if !tell {
				continue
			}
			select {
			case changed <- struct{}{}:
			default: // one is on its way
			}
		}
	}()
	return changed
}

// follower follows a folder, or as long as that is not there the nearest one above.
type follower struct {
	dir      string
	watcher  *fsnotify.Watcher
	followed string
}

// tells tells whether an event may be about records.
func (f *follower) tells(e fsnotify.Event) bool {
	switch {
	case e.Name == f.followed && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)):
		// What is there by that name from now on is another folder.
		f.leave()
		f.follow()
		return true
	case f.followed != f.dir:
		return e.Has(fsnotify.Create) && f.follow()
	}
	name := filepath.Base(e.Name)
	return filepath.Ext(name) == extension && !strings.HasPrefix(name, ".")
}

// follow tells whether another folder is followed from now on.
func (f *follower) follow() bool {
	before := f.followed
	// One that is made meanwhile would not be told of.
	for near := nearest(f.dir); near != f.followed; near = nearest(f.dir) {
		f.leave()
		if f.watcher.Add(near) != nil {
			break
		}
		f.followed = near
	}
	return f.followed != before
}

func (f *follower) leave() {
	if f.followed != "" {
		_ = f.watcher.Remove(f.followed) // it may be gone
		f.followed = ""
	}
}

// nearest is dir, or the first folder above that is there.
func nearest(dir string) string {
	for {
		above := filepath.Dir(dir)
		if info, err := os.Stat(dir); err == nil && info.IsDir() || above == dir {
			return dir
		}
		dir = above
	}
}
