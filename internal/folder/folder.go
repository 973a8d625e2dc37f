// Package folder keeps processes apart that share a folder of files.
package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockTimeout bounds the wait for another process, which writes one small file.
const lockTimeout = 10 * time.Second

// Locked keeps other processes out of a folder while do runs, which makes the
// folder for this user alone if it is not there. They lock it in the same way, by
// its file .lock. what names the folder's content in errors.
func Locked(ctx context.Context, dir, what string, do func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", what, err)
	}
	path := filepath.Join(dir, ".lock")
	lock := flock.New(path, flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	got, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) || err == nil && !got {
		return fmt.Errorf("lock %s: another process has held %s for %s", what, path, lockTimeout)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", what, err)
	}
	return errors.Join(do(), lock.Close())
}
