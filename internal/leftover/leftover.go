// Package leftover removes what writers that were killed have left of files.
package leftover

import (
	"os"
	"path/filepath"
)

// Remove removes the temporary files of atomicwriter (github.com/moby/sys) for the
// file of that name in a folder; "" is for all files there. Nobody may write them
// meanwhile. What cannot be removed stays: it is in nobody's way.
func Remove(dir, name string) {
	found, _ := filepath.Glob(filepath.Join(dir, ".tmp-"+name+"*"))
	for _, path := range found {
		_ = os.Remove(path)
	}
}
