//go:build !windows

package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// write replaces a file as a whole. A link is kept, and what it leads to is
// replaced: that is how people keep such files in a repository of their own.
func (c *Catalog) write(name string, data []byte) error {
	path := c.path(name)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if err := renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(filepath.Dir(path)), renameio.WithExistingPermissions()); err != nil {
		return fmt.Errorf("write workspace %q: %w", name, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename or removal in dir last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
