package workspace

import (
	"maps"
	"slices"
)

// WithoutValues returns a copy whose environment has names only: the values may be
// secret.
func (w *Workspace) WithoutValues() *Workspace {
	out := *w
	out.Run.Environment = maps.Clone(w.Run.Environment)
	for name := range out.Run.Environment {
		out.Run.Environment[name] = ""
	}
	return &out
}

// HasBlanks tells whether names in the environment have no value.
func (w *Workspace) HasBlanks() bool {
	return slices.Contains(slices.Collect(maps.Values(w.Run.Environment)), "")
}

// FillBlanks gives those names the values that they have in the first of several
// environments that knows them. Names that none knows are left out, and returned
// in order.
func (w *Workspace) FillBlanks(from ...map[string]string) (unknown []string) {
	filled := maps.Clone(w.Run.Environment)
	for _, name := range slices.Sorted(maps.Keys(filled)) {
		if filled[name] != "" {
			continue
		}
		known := slices.IndexFunc(from, func(values map[string]string) bool { _, ok := values[name]; return ok })
		if known < 0 {
			delete(filled, name)
			unknown = append(unknown, name)
			continue
		}
		filled[name] = from[known][name]
	}
	w.Run.Environment = filled
	return unknown
}
