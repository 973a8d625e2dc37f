package workspace

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// FileError is something wrong at one place of a workspace file.
type FileError struct {
	File         string
	Line, Column int
	Message      string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Decode reads a workspace file. file is the name that errors give; each error
// is a *FileError, and all that are found are joined in the order of the text:
// unknown keys, values of the wrong kind, values out of range. A syntax error
// is the only one reported. A byte order mark at the beginning is passed over.
func Decode(name, file string, data []byte) (*Workspace, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	if len(data) > MaxFile {
		return nil, &FileError{file, 1, 1, fmt.Sprintf("the file is larger than the %d bytes a workspace may have", MaxFile)}
	}
	doc, err := parse(file, data)
	var found []finding
	if err == nil {
		found = doc.checkKeys()
	}
	ws := &Workspace{Type: TypeContainer, Enabled: true, Pull: PullMissing}
	if err == nil && len(found) == 0 {
		// A good file, as most are, is read once.
		if err := toml.Unmarshal(data, ws); err != nil {
			return nil, syntaxError(file, err)
		}
		found = doc.places(ws.check())
	} else {
		var values map[string]any
		if err := toml.Unmarshal(data, &values); err != nil {
			return nil, syntaxError(file, err)
		}
		if err != nil {
			return nil, err
		}
		if rest, err := toml.Marshal(without(values, found)); err == nil && toml.Unmarshal(rest, ws) == nil {
			// The rest is checked too, so that one look at the file is enough.
			found = append(found, doc.others(ws, found)...)
		}
	}
	if len(found) > 0 {
		return nil, doc.errors(file, found)
	}
	if ws.Snapshot != nil && *ws.Snapshot == (Snapshot{}) {
		ws.Snapshot = nil // an empty [snapshot] says nothing
	}
	ws.Name, ws.Path, ws.Revision = name, file, revision(data)
	return ws, nil
}

// without copies a tree of values and leaves out those that are wrong.
func without(values map[string]any, wrong []finding) map[string]any {
	for _, f := range wrong {
		values = set(values, f.path, nil)
	}
	return values
}

// others lists the values out of range beside what was found already. Those
// missing are left out: a misspelt key or a wrong value may be what is missed.
func (d *document) others(ws *Workspace, found []finding) []finding {
	if slices.ContainsFunc(found, func(f finding) bool { return join(f.path) == "type" }) {
		ws.Type = "" // what the type asks for cannot be told
	}
	return slices.DeleteFunc(d.places(ws.check()), func(f finding) bool {
		return !f.placed || slices.ContainsFunc(found, func(g finding) bool { return g.offset == f.offset })
	})
}

func revision(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func syntaxError(file string, err error) error {
	var perr toml.ParseError
	if errors.As(err, &perr) {
		return &FileError{File: file, Line: max(perr.Position.Line, 1), Column: max(perr.Position.Col, 1), Message: perr.Message}
	}
	return &FileError{File: file, Line: 1, Column: 1, Message: err.Error()}
}

// finding is something wrong with a key; placed is set where the file has it.
type finding struct {
	path    []string
	offset  int
	placed  bool
	message string
}

// errors joins findings in the order of the text.
func (d *document) errors(file string, found []finding) error {
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.offset, b.offset) })
	var errs []error
	for _, f := range found {
		line, column := d.position(f.offset)
		errs = append(errs, &FileError{file, line, column, f.message})
	}
	return errors.Join(errs...)
}

// checkKeys refuses keys that are unknown and values of the wrong kind.
func (d *document) checkKeys() []finding {
	known := schema()
	var found []finding
	at := func(path []string, offset int, format string, args ...any) {
		found = append(found, finding{path, offset, true, fmt.Sprintf(format, args...)})
	}
	unknown := func(path []string, offset int) {
		message := fmt.Sprintf("unknown key %q", join(path))
		if near := nearest(join(path), slices.Sorted(maps.Keys(known))); near != "" {
			message += fmt.Sprintf(": did you mean %q?", near)
		}
		at(path, offset, "%s", message)
	}
	for i, t := range d.tables {
		switch k := known[t.key()]; {
		case k == "":
			if !d.reported(t.path, i, known) {
				unknown(t.path, t.start)
			}
		case t.array, k != kindTable && k != kindMap:
			at(t.path, t.start, "%s must be %s", t.key(), k)
		}
	}
	for _, e := range d.entries {
		switch k := known[e.key()]; {
		case known[join(e.path[:len(e.path)-1])] == kindMap:
			if !e.isText {
				at(e.path, e.valueStart, "%s must be %s", e.key(), kindString)
			}
		case k == "":
			if !d.reported(e.path, len(d.tables), known) {
				unknown(e.path, e.start)
			}
		case !e.kindOK:
			at(e.path, e.valueStart, "%s must be %s", e.key(), k)
		case k == kindDuration:
			if err := new(Duration).UnmarshalText([]byte(e.text)); err != nil {
				at(e.path, e.valueStart, "%s: %s", e.key(), err)
			}
		}
	}
	return found
}

// reported tells whether something that holds the key was refused already: an
// entry, or one of the first tables.
func (d *document) reported(path []string, tables int, known map[string]kind) bool {
	for i := 1; i < len(path); i++ {
		parent := join(path[:i])
		if k := known[parent]; k == kindTable || k == kindMap {
			continue
		}
		if _, ok := d.find(parent); ok || slices.ContainsFunc(d.tables[:tables], func(t table) bool { return t.key() == parent }) {
			return true
		}
	}
	return false
}

// problem is a value out of range, by the key that holds it.
type problem struct{ key, message string }

// places finds where problems are; one about a missing key stands at the
// file's beginning.
func (d *document) places(problems []problem) []finding {
	var found []finding
	for _, p := range problems {
		offset, placed := d.place(p.key)
		found = append(found, finding{offset: offset, placed: placed, message: fmt.Sprintf("%s: %s", p.key, p.message)})
	}
	return found
}

// place is the offset of a key's value, or of the table or first dotted key
// that it is spread over.
func (d *document) place(key string) (int, bool) {
	if e, ok := d.find(key); ok {
		return e.valueStart, true
	}
	for _, t := range d.tables {
		if t.key() == key {
			return t.start, true
		}
	}
	for _, e := range d.entries {
		if strings.HasPrefix(e.key(), key+".") {
			return e.start, true
		}
	}
	return d.begin, false
}
