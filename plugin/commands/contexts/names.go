package contexts

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/context/store"
	"github.com/fvbommel/sortorder"
)

// entry is a context that the store has.
type entry struct {
	name string
	// err is set where its file does not even tell its name.
	err error
}

// known are all contexts, in the order of `docker context ls`.
func known(contexts store.Store) []entry {
	var entries []entry
	if list, err := contexts.List(); err == nil {
		for _, meta := range list {
			entries = append(entries, entry{name: meta.Name})
		}
		return sorted(entries)
	}
	// One damaged file hides all contexts from the store.
	entries = append(entries, entry{name: command.DefaultContextName})
	root := filepath.Dir(contexts.GetStorageInfo("any").MetadataPath)
	files, _ := filepath.Glob(filepath.Join(root, "*", "meta.json"))
	for _, file := range files {
		entries = append(entries, read(file))
	}
	return sorted(entries)
}

// read takes the name of a context from its file; a part of that of its folder,
// which `docker context` makes of the name, where the file does not tell.
func read(file string) entry {
	data, err := os.ReadFile(file)
	if err == nil {
		var meta struct{ Name string }
		// What else is wrong is told where the context is used.
		err = json.Unmarshal(data, &meta)
		if meta.Name != "" {
			return entry{name: meta.Name}
		}
	}
	if err == nil {
		err = errors.New("no name")
	}
	folder := filepath.Base(filepath.Dir(file))
	return entry{name: folder[:min(12, len(folder))], err: fmt.Errorf("%s is damaged: %w", file, err)}
}

func sorted(entries []entry) []entry {
	slices.SortFunc(entries, func(a, b entry) int {
		switch {
		case sortorder.NaturalLess(a.name, b.name):
			return -1
		case sortorder.NaturalLess(b.name, a.name):
			return 1
		}
		return 0
	})
	return slices.CompactFunc(entries, func(a, b entry) bool { return a.name == b.name })
}
