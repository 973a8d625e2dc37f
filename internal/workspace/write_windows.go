package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// write replaces a file as a whole, by a rename over it.
func (c *Catalog) write(name string, data []byte) error {
	path := c.path(name)
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+name+extension+"*")
	if err != nil {
		return fmt.Errorf("write workspace %q: %w", name, err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write workspace %q: %w", name, errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}

// syncDir does nothing: Windows has no such call.
func syncDir(string) error { return nil }
