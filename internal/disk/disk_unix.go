//go:build !windows

package disk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Of returns the room on the disk that a folder is on.
func Of(dir string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Space{}, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	block := uint64(s.Bsize) //nolint:gosec,nolintlint,unconvert // its type differs between systems
	return Space{Free: s.Bavail * block, Total: s.Blocks * block}, nil
}
