// Package archive moves workspace files in and out: as a folder, or as a tar that
// is the same for the same files.
package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const (
	extension = ".toml"
	// maxEntries bounds what an archive or a folder holds, files of other kinds
	// included.
	maxEntries = 10_000
	// maxTotal bounds what is kept in memory, in bytes.
	maxTotal = 64 << 20
	// blockSize is what a tar is made of, in bytes.
	blockSize = 512
	fileMode  = 0o600
)

// Entry is one workspace file.
type Entry struct {
	// Name is the workspace's: the file's name without .toml.
	Name string
	// Data is the text, nil where Err says why it could not be read.
	Data []byte
	Err  error
}

// File is the name that an entry has in a folder or an archive.
func (e Entry) File() string { return e.Name + extension }

// inside refuses names, which may come from another machine, that are of a file
// elsewhere.
func (e Entry) inside() error {
	if e.Name == "" || strings.ContainsAny(e.Name, "/\\:\x00") {
		return fmt.Errorf("%q cannot be the name of a file", e.File())
	}
	return nil
}

// Write writes entries as a tar, sorted by name. Nothing in it tells when, where
// or by whom it was made.
func Write(out io.Writer, entries []Entry) error {
	w := tar.NewWriter(out)
	for _, e := range sorted(entries) {
		if err := e.inside(); err != nil {
			return err
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: e.File(), Size: int64(len(e.Data)), Mode: fileMode, ModTime: time.Unix(0, 0),
		}
		if err := w.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s to the archive: %w", e.File(), err)
		}
		if _, err := w.Write(e.Data); err != nil {
			return fmt.Errorf("write %s to the archive: %w", e.File(), err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return nil
}

func sorted(entries []Entry) []Entry {
	return slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
}

// collector gathers entries within bounds.
type collector struct {
	list        []Entry
	seen, total int
}

// next counts something of any kind.
func (c *collector) next() error {
	if c.seen++; c.seen > maxEntries {
		return fmt.Errorf("it has more than the %d entries that are read", maxEntries)
	}
	return nil
}

// add reads a file of a name, "" for one that is no workspace's, and of a size.
// What is wrong with the file becomes the entry's error; the error returned ends
// it all.
func (c *collector) add(name string, size int64, regular bool, open func() (io.ReadCloser, error)) error {
	e := Entry{Name: name}
	if i := slices.IndexFunc(c.list, func(o Entry) bool { return o.Name == name }); i >= 0 {
		// Nobody knows which of them is meant.
		c.list[i] = Entry{Name: name, Err: fmt.Errorf("there are several files %s", e.File())}
		return nil
	}
	switch {
	case name == "":
		return nil
	case workspace.ValidName(name) != nil:
		e.Err = workspace.ValidName(name)
	case !regular:
		e.Err = fmt.Errorf("%s is not a regular file", e.File())
	case size > workspace.MaxFile:
		e.Err = tooLarge(e)
	default:
		if e.Data, e.Err = read(e, open); e.Err != nil {
			e.Data = nil
		}
	}
	if c.total += len(e.Data); c.total > maxTotal {
		return fmt.Errorf("its files are larger than %d bytes together", maxTotal)
	}
	c.list = append(c.list, e)
	return nil
}

func tooLarge(e Entry) error {
	return fmt.Errorf("%s is larger than the %d bytes a workspace may have", e.File(), workspace.MaxFile)
}

func read(e Entry, open func() (io.ReadCloser, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, workspace.MaxFile+1))
	if err == nil && len(data) > workspace.MaxFile {
		err = tooLarge(e)
	}
	return data, err
}

// nameOf is the name of the workspace that a file is of; "" for other files, and
// for those that begin with a dot, such as locks and what macOS adds.
func nameOf(file string) string {
	name, ok := strings.CutSuffix(file, extension)
	if !ok || strings.HasPrefix(name, ".") {
		return ""
	}
	return name
}

// Read reads the workspace files of a tar, in whatever folders of it they are.
// Other files are passed over. An error is about the archive as a whole, and
// comes with what was read before.
func Read(in io.Reader) ([]Entry, error) {
	buffered := bufio.NewReader(in)
	if magic, err := buffered.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return nil, errors.New("it is compressed: pipe it through `gzip -dc`")
	} else if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	}
	var c collector
	watched := &zeros{in: buffered}
	r := tar.NewReader(watched)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			if watched.last < blockSize {
				return c.list, errors.New("it is cut off: there is no mark at its end")
			}
			return c.list, nil
		}
		if err != nil {
			return c.list, fmt.Errorf("read it as a tar: %w", err)
		}
		if err := c.next(); err != nil {
			return c.list, err
		}
		if header.Typeflag == tar.TypeDir || header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name := nameOf(path.Base(header.Name))
		if slices.Contains(strings.Split(header.Name, "/"), "..") && name != "" {
			return c.list, fmt.Errorf("%q leads out of it: it is not one of workspace files", header.Name)
		}
		open := func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
		if err := c.add(name, header.Size, header.Typeflag == tar.TypeReg, open); err != nil {
			return c.list, err
		}
	}
}

// zeros counts the zero bytes that what was read ends in. An archive ends in
// blocks of them; the standard library takes one that is cut off between two files,
// or in what fills up the last block of one, for a whole one.
type zeros struct {
	in   io.Reader
	last int
}

func (z *zeros) Read(p []byte) (int, error) {
	n, err := z.in.Read(p)
	rest := len(bytes.TrimRight(p[:n], "\x00"))
	if rest > 0 {
		z.last = 0
	}
	z.last += n - rest
	return n, err
}

// ReadDir reads the workspace files of a folder, not those of folders in it.
func ReadDir(dir string) ([]Entry, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var c collector
	for _, f := range files {
		if err := c.next(); err != nil {
			return c.list, err
		}
		if f.IsDir() {
			continue
		}
		if err := c.add(stat(dir, f)); err != nil {
			return c.list, err
		}
	}
	return sorted(c.list), nil
}

// stat looks at what a link leads to: people keep such files elsewhere. One that
// leads nowhere is reported when it is opened.
func stat(dir string, f fs.DirEntry) (name string, size int64, regular bool, open func() (io.ReadCloser, error)) {
	file := filepath.Join(dir, f.Name())
	open = func() (io.ReadCloser, error) { return os.Open(file) }
	info, err := os.Stat(file)
	if err != nil {
		return nameOf(f.Name()), 0, true, open
	}
	return nameOf(f.Name()), info.Size(), info.Mode().IsRegular(), open
}

// ReadFile reads a single workspace file.
func ReadFile(file string) ([]Entry, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	name, size, regular, open := stat(filepath.Dir(file), fs.FileInfoToDirEntry(info))
	if name == "" {
		return nil, fmt.Errorf("%s does not end in %s: a workspace has the name of its file", file, extension)
	}
	var c collector
	err = c.add(name, size, regular, open)
	return c.list, err
}
