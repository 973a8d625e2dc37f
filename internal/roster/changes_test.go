package roster

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestChangesAreToldAlsoOfAFolderThatIsMadeLater(t *testing.T) {
	above := filepath.Join(t.TempDir(), "kasm")
	s := Open(filepath.Join(above, "sessions"))
	changed := s.Changes(t.Context())
	// await waits until there are n records, and looks only when it is told to.
	await := func(what string, n int) {
		t.Helper()
		for {
			select {
			case <-changed:
			case <-time.After(time.Minute):
				t.Fatalf("%s: not told", what)
			}
			if list, _ := s.List(t.Context()); len(list) == n {
				return
			}
		}
	}
	add := func(container string) Record {
		t.Helper()
		r := adopted("E", container)
		if err := s.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := add(box)
	await("the first one", 1)
	add(box[1:] + "0")
	await("another one", 2)
	if err := s.Remove(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	await("one that is removed", 1)
	// A folder that was put in its place.
	if err := os.Rename(s.dir, filepath.Join(above, "old")); err != nil {
		t.Fatal(err)
	}
	add(box)
	add(box[2:] + "00")
	await("a folder in its place", 2)
}

func TestWhatIsNoRecordIsNotTold(t *testing.T) {
	dir := t.TempDir()
	f := follower{dir: dir, followed: dir}
	for name, want := range map[string]bool{".lock": false, ".tmp-1.toml": false, "notes.txt": false, "0000000000000000.toml": true} {
		if got := f.tells(fsnotify.Event{Name: filepath.Join(dir, name), Op: fsnotify.Create}); got != want {
			t.Errorf("%s: told %t", name, got)
		}
	}
}
