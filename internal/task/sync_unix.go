//go:build !windows

package task

import (
	"errors"
	"fmt"
	"os"
)

// syncDir makes a rename or removal in dir last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
