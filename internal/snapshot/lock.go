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
	release, err := j.lockFile(ctx, j.plan.session.ID, fmt.Sprintf("another snapshot of %s is under way: waiting for it", j.plan.session.Name))
	if err != nil {
		return err
	}
	j.release = release
	return nil
}

// lockFile takes a lock that all processes of this user share, and returns how
// to release it. waiting is reported when it is held by another.
func (j *job) lockFile(ctx context.Context, name, waiting string) (release func(), err error) {
	if err := os.MkdirAll(j.LockDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for snapshot locks: %w", err)
	}
	path := filepath.Join(j.LockDir, name+".lock")
	file := flock.New(path, flock.SetPermissions(0o600))
	got, err := file.TryLock()
	if err == nil && !got {
		if waiting != "" {
			j.info("%s", waiting)
		}
		got, err = file.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil || !got {
		return nil, fmt.Errorf("lock %s for a snapshot: %w", path, err)
	}
	// The file stays: removing it would let a waiter lock a file that a third
	// process no longer finds.
	return func() { _ = file.Unlock() }, nil
}
