package workspace

import (
	"context"
	"errors"
	"io/fs"
)

// MaxFile is the largest size of a workspace file, in bytes.
const MaxFile = 1 << 20

// File is a workspace's file as it is, whether a workspace can be read from it or
// not.
type File struct {
	Name string
	// Path is where it is; only its name where that is on another machine.
	Path string
	// Data is the text, nil where the file itself cannot be read.
	Data []byte
	// Workspace is what the text says, nil where Err tells what is wrong with it.
	Workspace *Workspace
	Err       error
}

// ReadFile makes a File of a text.
func ReadFile(name, path string, data []byte) File {
	f := File{Name: name, Path: path, Data: data}
	f.Workspace, f.Err = Decode(name, path, data)
	return f
}

// Problems lists what is wrong with the file in the order of its text. What is
// wrong with the file as a whole has line and column 0.
func (f File) Problems() []FileError {
	if f.Err == nil {
		return nil
	}
	var list []FileError
	var add func(err error)
	add = func(err error) {
		var one *FileError
		joined, many := err.(interface{ Unwrap() []error })
		switch {
		case many:
			for _, e := range joined.Unwrap() {
				add(e)
			}
		case errors.As(err, &one):
			list = append(list, *one)
		default:
			list = append(list, FileError{File: f.Path, Message: err.Error()})
		}
	}
	add(f.Err)
	return list
}

// Files returns all files sorted by name.
func (c *Catalog) Files(context.Context) ([]File, error) {
	names, err := c.Names()
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range names {
		data, err := readFile(c.path(name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed since the folder was read
		case err != nil:
			files = append(files, File{Name: name, Path: c.path(name), Err: err})
		default:
			files = append(files, ReadFile(name, c.path(name), data))
		}
	}
	return files, nil
}
