package workspace

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Edit sets a key, or removes it where Value is nil.
type Edit struct {
	// Key is dotted, one of Keys.
	Key string
	// Value is a string, bool, float64, []string, map[string]string or
	// time.Time.
	Value any
}

// Apply changes single values in a workspace file. Every byte that is not part
// of a changed key stays: comments, order, spaces. The result is read again
// and refused unless exactly the edits made it differ.
func Apply(data []byte, edits []Edit) ([]byte, error) {
	out := data
	for _, e := range edits {
		next, err := applyOne(out, e)
		if err != nil {
			return nil, fmt.Errorf("change %s: %w", e.Key, err)
		}
		if err := checkEdit(out, next, e); err != nil {
			return nil, fmt.Errorf("change %s: %w", e.Key, err)
		}
		out = next
	}
	return out, nil
}

func applyOne(data []byte, edit Edit) ([]byte, error) {
	if k := schema()[edit.Key]; k == "" || k == kindTable {
		return nil, fmt.Errorf("not a key of a workspace")
	}
	var syntax map[string]any
	if err := toml.Unmarshal(data, &syntax); err != nil {
		return nil, syntaxError("the file", err)
	}
	doc, err := parse("the file", data)
	if err != nil {
		return nil, err
	}
	if doc.spread(edit.Key) {
		return nil, fmt.Errorf("it is written as a table of its own: change it with `docker kasm workspace edit`")
	}
	e, found := doc.find(edit.Key)
	if edit.Value == nil {
		switch {
		case !found:
			return data, nil
		case e.inline:
			return doc.removeInline(e)
		}
		return splice(data, max(lineStart(data, e.start), doc.begin), lineEnd(data, e.end), ""), nil
	}
	text, err := encodeValue(edit.Value)
	if err != nil {
		return nil, err
	}
	if found {
		return splice(data, e.valueStart, e.end, text), nil
	}
	return doc.insert(edit.Key, text), nil
}

// spread tells whether a key's value is spread over a [table] or dotted keys.
func (d *document) spread(key string) bool {
	for _, t := range d.tables {
		if t.key() == key {
			return true
		}
	}
	for _, e := range d.entries {
		if !e.inline && strings.HasPrefix(e.key(), key+".") {
			return true
		}
	}
	return false
}

// insert adds a key where its neighbours are: after the last one of its table,
// inside an inline table, or in a new table at the end.
func (d *document) insert(key, text string) []byte {
	nl := "\n"
	if bytes.Contains(d.data, []byte("\r\n")) {
		nl = "\r\n"
	}
	parent, name, nested := cutLast(key)
	if !nested {
		at := d.begin
		for _, e := range d.entries {
			if e.table < 0 && !e.inline {
				at = lineEnd(d.data, e.end)
			}
		}
		if at == d.begin && len(d.tables) == 0 {
			at = len(d.data)
		}
		return d.line(at, name+" = "+text, nl)
	}
	if e, ok := d.find(parent); ok {
		return d.insertInline(e, name+" = "+text)
	}
	if i := slices.IndexFunc(d.tables, func(t table) bool { return t.key() == parent }); i >= 0 {
		at := d.tables[i].end
		for _, e := range d.entries {
			if e.table == i && !e.inline {
				at = lineEnd(d.data, e.end)
			}
		}
		return d.line(at, name+" = "+text, nl)
	}
	dotted := -1
	for _, e := range d.entries {
		if e.table < 0 && !e.inline && strings.HasPrefix(e.key(), parent+".") {
			dotted = lineEnd(d.data, e.end)
		}
	}
	if dotted >= 0 {
		return d.line(dotted, key+" = "+text, nl)
	}
	block := "[" + parent + "]" + nl + name + " = " + text
	if len(d.data) > d.begin {
		block = nl + block
	}
	return d.line(len(d.data), block, nl)
}

func (d *document) insertInline(e entry, pair string) []byte {
	at, text := e.open, " "+pair+" "
	for _, child := range d.entries {
		if child.holder >= 0 && d.entries[child.holder].start == e.start {
			at, text = child.end, ", "+pair
		}
	}
	return splice(d.data, at, at, text)
}

// removeInline takes a key out of an inline table, with the comma that parts it
// from the next or the last one. Where lines part them there may be comments,
// and whose those are cannot be told.
func (d *document) removeInline(e entry) ([]byte, error) {
	start, end := e.start, e.end
	for _, sibling := range d.entries {
		switch {
		case sibling.holder != e.holder:
		case sibling.end <= e.start:
			start, end = sibling.end, e.end
		case sibling.start >= e.end:
			start, end = e.start, sibling.start
		}
		if end > e.end {
			break
		}
	}
	if start == e.start && end == e.end {
		for d.data[end] == ' ' || d.data[end] == '\t' {
			end++ // alone: what is left is { }, not {  }
		}
	}
	if bytes.ContainsRune(d.data[start:e.start], '\n') || bytes.ContainsRune(d.data[e.end:end], '\n') {
		return nil, fmt.Errorf("it stands inside an inline table of several lines: change it with `docker kasm workspace edit`")
	}
	return splice(d.data, start, end, ""), nil
}

// line puts text on a line of its own at an offset where a line begins.
func (d *document) line(at int, text, nl string) []byte {
	if at > d.begin && d.data[at-1] != '\n' {
		text = nl + text
	}
	return splice(d.data, at, at, text+nl)
}

func splice(data []byte, start, end int, text string) []byte {
	return slices.Concat(data[:start], []byte(text), data[end:])
}

// checkEdit makes sure that an edit did what it says and nothing else.
func checkEdit(before, after []byte, edit Edit) error {
	was, is := map[string]any{}, map[string]any{}
	if err := toml.Unmarshal(before, &was); err != nil {
		return syntaxError("the file", err)
	}
	if err := toml.Unmarshal(after, &is); err != nil {
		return fmt.Errorf("the file cannot be changed safely: change it with `docker kasm workspace edit`")
	}
	var value any
	if edit.Value != nil {
		text, err := encodeValue(edit.Value)
		if err != nil {
			return err
		}
		var one map[string]any
		if err := toml.Unmarshal([]byte("v = "+text), &one); err != nil {
			return err
		}
		value = one["v"]
	}
	path := strings.Split(edit.Key, ".")
	want := set(was, path, value)
	if value == nil && len(path) > 1 && is[path[0]] == nil {
		// A table that only dotted keys made is gone with its last one.
		if table, ok := want[path[0]].(map[string]any); ok && len(table) == 0 {
			delete(want, path[0])
		}
	}
	if !reflect.DeepEqual(want, is) {
		return fmt.Errorf("the file cannot be changed safely: change it with `docker kasm workspace edit`")
	}
	return nil
}

func set(tree map[string]any, path []string, value any) map[string]any {
	out := maps.Clone(tree)
	if len(path) == 1 {
		if value == nil {
			delete(out, path[0])
		} else {
			out[path[0]] = value
		}
		return out
	}
	child, ok := out[path[0]].(map[string]any)
	if !ok {
		if value == nil {
			return out
		}
		child = map[string]any{}
	}
	out[path[0]] = set(child, path[1:], value)
	return out
}
