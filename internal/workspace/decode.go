package workspace

import (
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
// is a *FileError, and all that are found are joined: unknown keys, values of
// the wrong kind, values out of range. A syntax error is the only one reported.
func Decode(name, file string, data []byte) (*Workspace, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	var anything map[string]any
	if err := toml.Unmarshal(data, &anything); err != nil {
		return nil, syntaxError(file, err)
	}
	doc, err := parse(data)
	if err != nil {
		return nil, &FileError{File: file, Line: 1, Column: 1, Message: err.Error()}
	}
	if err := doc.checkKeys(file); err != nil {
		return nil, err
	}
	ws := &Workspace{Type: TypeContainer, Enabled: true, Pull: PullMissing}
	if err := toml.Unmarshal(data, ws); err != nil {
		return nil, syntaxError(file, err)
	}
	ws.Name, ws.Path, ws.Revision = name, file, revision(data)
	if err := doc.report(file, ws.check()); err != nil {
		return nil, err
	}
	return ws, nil
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

// checkKeys refuses keys that are unknown and values of the wrong kind.
func (d *document) checkKeys(file string) error {
	known := schema()
	var errs []error
	at := func(offset int, format string, args ...any) {
		line, column := d.position(offset)
		errs = append(errs, &FileError{file, line, column, fmt.Sprintf(format, args...)})
	}
	unknown := func(offset int, key string) {
		message := fmt.Sprintf("unknown key %q", key)
		if near := nearest(key, slices.Sorted(maps.Keys(known))); near != "" {
			message += fmt.Sprintf(": did you mean %q?", near)
		}
		at(offset, "%s", message)
	}
	for _, t := range d.tables {
		key := strings.Join(t.path, ".")
		switch k := known[key]; {
		case k == "":
			unknown(t.start, key)
		case t.array, k != kindTable && k != kindMap:
			at(t.start, "%s must be %s", key, k)
		}
	}
	for _, e := range d.entries {
		parent := strings.Join(e.path[:len(e.path)-1], ".")
		switch k := known[e.key()]; {
		case known[parent] == kindMap && !strings.HasPrefix(strings.TrimSpace(string(d.data[e.valueStart:e.end])), `"`) &&
			!strings.HasPrefix(string(d.data[e.valueStart:e.end]), "'"):
			at(e.valueStart, "%s must be %s", e.key(), kindString)
		case known[parent] == kindMap:
		case k == "":
			if d.underUnknown(e, known) {
				continue
			}
			unknown(e.start, e.key())
		case !e.kindOK:
			at(e.valueStart, "%s must be %s", e.key(), k)
		}
	}
	return errors.Join(errs...)
}

// underUnknown tells whether a table above the key was reported already.
func (d *document) underUnknown(e entry, known map[string]kind) bool {
	for i := 1; i < len(e.path); i++ {
		parent := strings.Join(e.path[:i], ".")
		if known[parent] == "" {
			_, isEntry := d.find(parent)
			return isEntry || slices.ContainsFunc(d.tables, func(t table) bool { return strings.Join(t.path, ".") == parent })
		}
	}
	return false
}

// problem is a value out of range, by the key that holds it.
type problem struct{ key, message string }

// report gives problems their places; one about a missing key stands at the
// file's beginning.
func (d *document) report(file string, problems []problem) error {
	var errs []error
	for _, p := range problems {
		line, column := 1, 1
		if e, ok := d.find(p.key); ok {
			line, column = d.position(e.valueStart)
		} else if i := slices.IndexFunc(d.tables, func(t table) bool { return strings.Join(t.path, ".") == p.key }); i >= 0 {
			line, column = d.position(d.tables[i].start)
		}
		errs = append(errs, &FileError{file, line, column, fmt.Sprintf("%s: %s", p.key, p.message)})
	}
	return errors.Join(errs...)
}
