package snapshot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lock lets one snapshot of a container happen at a time: two concurrent
// commits would resume each other's session while its files are copied.
func (j *job) lock(ctx context.Context) error {
	if err := os.MkdirAll(j.LockDir, 0o700); err != nil {
		return fmt.Errorf("make the folder for snapshot locks: %w", err)
	}
	path := filepath.Join(j.LockDir, j.plan.session.ID+".lock")
	file := flock.New(path, flock.SetPermissions(0o600))
	got, err := file.TryLock()
	if err == nil && !got {
		j.info("another snapshot of %s is under way: waiting for it", j.plan.session.Name)
		got, err = file.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || !got {
		return fmt.Errorf("lock session %q for a snapshot (%s): %w", j.plan.session.Name, path, err)
	}
	j.release = func() {
		// The file stays: removing it would let a waiter lock a file that a
		// third process no longer finds.
		_ = file.Unlock()
	}
	return nil
}
