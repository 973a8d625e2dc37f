package folder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gofrs/flock"
)

func TestLockedLetsOneInAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	var all sync.WaitGroup
	var inside, most atomic.Int32
	for range 20 {
		all.Go(func() {
			if err := Locked(t.Context(), dir, "files", func() error {
				most.Store(max(most.Load(), inside.Add(1)))
				inside.Add(-1)
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d were in at once", n)
	}
}

func TestLockedTellsWhatWentWrong(t *testing.T) {
	dir := t.TempDir()
	wrong := errors.New("wrong")
	if err := Locked(t.Context(), dir, "files", func() error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("an error of what is done is lost: %v", err)
	}
	other := flock.New(filepath.Join(dir, ".lock"))
	if got, err := other.TryLock(); err != nil || !got {
		t.Fatal(got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Locked(ctx, dir, "files", func() error { t.Error("done without the lock"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt while waiting: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Locked(t.Context(), file, "files", func() error { return nil }); err == nil || !strings.Contains(err.Error(), "make the folder of files") {
		t.Errorf("a file in the way: %v", err)
	}
}
