package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/archive"
	"github.com/docker-kasm/docker-kasm/internal/kasmregistry"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// candidate is a workspace that could be imported.
type candidate struct {
	// name is the workspace's; what the source calls it where it has none.
	name string
	data []byte
	// left lists what could not be taken over.
	left []string
	err  error
}

// candidates reads a source and checks all that is in it. The error is about the
// source as a whole.
func candidates(ctx context.Context, stdin io.Reader, source string) ([]candidate, error) {
	if strings.Contains(source, "://") {
		items, err := kasmregistry.Fetch(ctx, source)
		return fromRegistry(items), err
	}
	if source == "-" {
		return fromArchive(archive.Read(stdin))
	}
	info, err := os.Stat(source)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return fromArchive(archive.ReadDir(source))
	case filepath.Ext(source) == ".toml":
		return fromArchive(archive.ReadFile(source))
	}
	f, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if filepath.Ext(source) == ".json" {
		data, err := io.ReadAll(io.LimitReader(f, kasmregistry.MaxList+1))
		if err != nil {
			return nil, err
		}
		items, err := kasmregistry.Parse(data, nil)
		return fromRegistry(items), err
	}
	return fromArchive(archive.Read(f))
}

func fromArchive(entries []archive.Entry, err error) ([]candidate, error) {
	if err != nil {
		return nil, err // half an archive is none
	}
	var list []candidate
	for _, e := range entries {
		c := candidate{name: e.Name, data: e.Data, err: e.Err}
		if c.err == nil {
			_, c.err = workspace.Decode(e.Name, e.File(), e.Data)
		}
		list = append(list, c)
	}
	return list, nil
}

func fromRegistry(items []kasmregistry.Item) []candidate {
	var list []candidate
	for _, i := range items {
		c := candidate{name: i.Label, left: i.Left, err: i.Err}
		if c.err == nil {
			c.name = i.Workspace.Name
			c.data, c.err = workspace.Encode(i.Workspace)
		}
		list = append(list, c)
	}
	return list
}

// chosen returns the candidates named, all where none is, and an error for each
// name that is not there.
func chosen(list []candidate, names []string) ([]candidate, error) {
	if len(names) == 0 {
		return list, nil
	}
	var errs []error
	for _, name := range names {
		if !slices.ContainsFunc(list, func(c candidate) bool { return c.name == name }) {
			errs = append(errs, fmt.Errorf("there is no workspace %q in it: `docker kasm workspace import --dry-run` shows them all", name))
		}
	}
	return slices.DeleteFunc(list, func(c candidate) bool { return !slices.Contains(names, c.name) }), errors.Join(errs...)
}
