package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
)

// ErrExists means that a file would be overwritten.
var ErrExists = errors.New("is already there")

// WriteDir writes entries as files of a folder, which is made where it is absent.
// Files that are there already are kept, and nothing is written, unless replace is
// set.
func WriteDir(dir string, entries []Entry, replace bool) error {
	var errs []error
	for _, e := range entries {
		err := e.inside()
		if err == nil && !replace {
			err = absent(filepath.Join(dir, e.File()))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder to write to: %w", err)
	}
	for _, e := range sorted(entries) {
		if err := atomicwriter.WriteFile(filepath.Join(dir, e.File()), e.Data, fileMode); err != nil {
			return fmt.Errorf("write %s: %w", e.File(), err)
		}
	}
	return nil
}

// WriteFile writes entries as a tar to a file, under the same rules as WriteDir.
func WriteFile(file string, entries []Entry, replace bool) error {
	if !replace {
		if err := absent(file); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	if err := Write(&out, entries); err != nil {
		return err
	}
	if err := atomicwriter.WriteFile(file, out.Bytes(), fileMode); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

func absent(file string) error {
	_, err := os.Lstat(file)
	if err == nil {
		return fmt.Errorf("%s %w", file, ErrExists)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
