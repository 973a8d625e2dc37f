package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/docker-kasm/docker-kasm/internal/folder"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound = errors.New("no such workspace")
	ErrExists   = errors.New("the workspace is already there")
	ErrConflict = errors.New("the workspace was changed meanwhile")
)

const (
	extension = ".toml"
	// temporary matches the files that are not whole yet.
	temporary = ".*" + extension + "[0-9]*"
)

// Catalog is a folder of workspace files.
type Catalog struct{ dir string }

// Open returns the catalog in dir, which is made when the first file is written.
func Open(dir string) *Catalog { return &Catalog{dir: dir} }

// Dir is the catalog's folder.
func (c *Catalog) Dir() string { return c.dir }

func (c *Catalog) path(name string) string { return filepath.Join(c.dir, name+extension) }

// List returns the workspaces whose files can be read, sorted by name, and the
// errors of all others joined: a bad file hides no good one.
func (c *Catalog) List(ctx context.Context) ([]*Workspace, error) {
	files, err := c.Files(ctx)
	if err != nil {
		return nil, err
	}
	var list []*Workspace
	var errs []error
	for _, f := range files {
		if f.Err != nil {
			errs = append(errs, f.Err)
			continue
		}
		list = append(list, f.Workspace)
	}
	return list, errors.Join(errs...)
}

// Names lists the files' keys, sorted, whether they can be read or not.
func (c *Catalog) Names() ([]string, error) {
	files, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	var names []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), extension); ok && name != "" && !strings.HasPrefix(name, ".") && !f.IsDir() {
			names = append(names, name)
		}
	}
	slices.Sort(names) // the folder sorts a-2.toml before a.toml
	return names, nil
}

// readFile reads a regular file of a size that a workspace can have: a pipe of
// that name would block for ever.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, broken := os.Lstat(path); broken == nil {
			return nil, fmt.Errorf("%s is a link that leads nowhere: mend it, or remove it", path)
		}
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%s is larger than the %d bytes a workspace may have", path, MaxFile)
	}
	return data, nil
}

// Get reads one workspace. A name that is not there is ErrNotFound, with names
// that look alike.
func (c *Catalog) Get(ctx context.Context, name string) (*Workspace, error) {
	data, _, err := c.Raw(ctx, name)
	if err != nil {
		return nil, err
	}
	return Decode(name, c.path(name), data)
}

// Raw reads a workspace's file, valid or not, and its revision.
func (c *Catalog) Raw(_ context.Context, name string) ([]byte, string, error) {
	if err := ValidName(name); err != nil {
		return nil, "", err
	}
	data, err := readFile(c.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", c.notFound(name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read workspace %q: %w", name, err)
	}
	return data, revision(data), nil
}

type notFoundError struct{ message string }

func (e *notFoundError) Error() string { return e.message }
func (e *notFoundError) Unwrap() error { return ErrNotFound }

func (c *Catalog) notFound(name string) error {
	message := fmt.Sprintf("no workspace %q: `docker kasm workspace ls -a` lists them all", name)
	names, _ := c.Names()
	best := 0.55
	for _, n := range names {
		if score := levenshtein.Match(name, n, nil); score > best && ValidName(n) == nil {
			best, message = score, fmt.Sprintf("no workspace %q: did you mean %q?", name, n)
		}
	}
	return &notFoundError{message}
}

// Writable tells whether files can be written, by writing one.
func (c *Catalog) Writable(context.Context) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, ".probe"+extension+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	err = errors.Join(err, f.Close())
	if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) { // else swept away
		err = errors.Join(err, gone)
	}
	return err
}

// Create writes a new workspace from its fields; ErrExists if there is one.
func (c *Catalog) Create(ctx context.Context, w *Workspace) error {
	data, err := Encode(w)
	if err != nil {
		return err
	}
	_, err = c.CreateRaw(ctx, w.Name, data)
	return err
}

// CreateRaw writes a new workspace file after it has been checked.
func (c *Catalog) CreateRaw(ctx context.Context, name string, data []byte) (*Workspace, error) {
	ws, err := Decode(name, c.path(name), data)
	if err != nil {
		return nil, fmt.Errorf("create workspace %q: %w", name, err)
	}
	err = c.locked(ctx, func() error {
		if _, err := os.Lstat(c.path(name)); err == nil {
			return fmt.Errorf("create workspace %q: %w; change it with `docker kasm workspace edit %s`, or choose another name", name, ErrExists, name)
		}
		return c.write(name, data)
	})
	return ws, err
}

// Update changes single keys. revision is that of the file the caller saw, ""
// for any; ErrConflict if it has changed since.
func (c *Catalog) Update(ctx context.Context, name, revision string, edits []Edit) (*Workspace, error) {
	return c.rewrite(ctx, name, revision, func(data []byte) ([]byte, error) { return Apply(data, edits) })
}

// Replace writes a whole new text, under the same rules as Update.
func (c *Catalog) Replace(ctx context.Context, name, revision string, data []byte) (*Workspace, error) {
	return c.rewrite(ctx, name, revision, func([]byte) ([]byte, error) { return data, nil })
}

func (c *Catalog) rewrite(ctx context.Context, name, revision string, change func([]byte) ([]byte, error)) (*Workspace, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	var ws *Workspace
	err := c.existing(ctx, name, func() error {
		data, err := c.expect(ctx, name, revision)
		if err != nil {
			return err
		}
		next, err := change(data)
		if err != nil {
			return fmt.Errorf("update workspace %q: %w", name, err)
		}
		if ws, err = Decode(name, c.path(name), next); err != nil {
			return fmt.Errorf("update workspace %q: %w", name, err)
		}
		if bytes.Equal(next, data) {
			return nil
		}
		return c.write(name, next)
	})
	return ws, err
}

// Remove deletes a workspace's file, under the same rules as Update.
func (c *Catalog) Remove(ctx context.Context, name, revision string) error {
	return c.existing(ctx, name, func() error {
		if _, err := c.expect(ctx, name, revision); err != nil {
			return err
		}
		if err := os.Remove(c.path(name)); err != nil {
			return fmt.Errorf("remove workspace %q: %w", name, err)
		}
		return syncDir(c.dir)
	})
}

func (c *Catalog) expect(ctx context.Context, name, want string) ([]byte, error) {
	data, got, err := c.Raw(ctx, name)
	if err != nil {
		return nil, err
	}
	if want != "" && want != got {
		return nil, fmt.Errorf("update workspace %q: %w: look at it again", name, ErrConflict)
	}
	return data, nil
}

// existing is locked for names that must be there: a typo makes no folder.
func (c *Catalog) existing(ctx context.Context, name string, do func() error) error {
	if _, _, err := c.Raw(ctx, name); err != nil {
		return err
	}
	return c.locked(ctx, do)
}

// UniqueName makes a free valid name from base: other characters become '-',
// and -2, -3 … is added while the name is taken.
func (c *Catalog) UniqueName(_ context.Context, base string) (string, error) {
	taken, err := c.Names()
	if err != nil {
		return "", err
	}
	return UniqueName(base, taken), nil
}

// Sweep removes what a process that was killed has left of a file it was writing,
// as each write does.
func (c *Catalog) Sweep(ctx context.Context) error {
	return c.locked(ctx, func() error { return nil })
}

// sweep removes what a process that was killed has left of a file it was
// writing: under the lock nobody else writes.
func (c *Catalog) sweep() {
	files, _ := filepath.Glob(filepath.Join(c.dir, temporary))
	for _, f := range files {
		_ = os.Remove(f) // in nobody's way
	}
}

// locked keeps other processes' writes out while do runs.
func (c *Catalog) locked(ctx context.Context, do func() error) error {
	return folder.Locked(ctx, c.dir, "the catalog", func() error {
		c.sweep()
		return do()
	})
}
