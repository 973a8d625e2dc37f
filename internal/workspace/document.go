package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// bom is the byte order mark that some Windows editors begin files with. It is
// no part of the text, and stays in the file.
var bom = []byte("\xef\xbb\xbf")

// document is a TOML text with the places of everything in it.
type document struct {
	data []byte
	// begin is the offset of the text, behind a byte order mark.
	begin   int
	entries []entry
	tables  []table
}

// entry is one key with its value; offsets are bytes into the text.
type entry struct {
	// path is the whole key, tables included.
	path []string
	// table indexes document.tables, -1 for keys before the first one.
	table int
	// start and end enclose key and value, value begins at valueStart.
	start, valueStart, end int
	// inline is set for keys inside an inline table, and holder indexes the
	// entry whose value that table is.
	inline bool
	holder int
	// open is the offset after the brace where the value is an inline table.
	open int
	// kindOK tells whether the value is of the kind its key wants.
	kindOK bool
	// text is the value where it is a string, as isText tells.
	text   string
	isText bool
}

func (e entry) key() string { return join(e.path) }

// join writes a key as TOML does: "a.b" in quotes is one key, a.b without is
// one inside another.
func join(path []string) string {
	parts := slices.Clone(path)
	for i, p := range parts {
		if !bareKey.MatchString(p) {
			parts[i] = strconv.Quote(p)
		}
	}
	return strings.Join(parts, ".")
}

// table is a [header]; end is the offset after its line's last byte.
type table struct {
	path       []string
	start, end int
	array      bool
}

func (t table) key() string { return join(t.path) }

// parse reads the places of all keys. Its parser is not the one that reads values:
// errors of that come first, so that these are only what that one lets pass.
func parse(file string, data []byte) (*document, error) {
	doc := &document{data: data}
	if bytes.HasPrefix(data, bom) {
		// Spaces in its place keep every offset as it is.
		doc.begin = len(bom)
		data = slices.Concat([]byte("   "), data[len(bom):])
	}
	known := schema()
	parser := &unstable.Parser{KeepComments: true}
	parser.Reset(data)
	current := -1
	var prefix []string
	for parser.NextExpression() {
		n := parser.Expression()
		switch n.Kind {
		case unstable.Table, unstable.ArrayTable:
			t := table{array: n.Kind == unstable.ArrayTable, start: -1}
			for it := n.Key(); it.Next(); {
				k := it.Node()
				if t.start < 0 {
					t.start = int(k.Raw.Offset)
				}
				t.end = int(k.Raw.Offset + k.Raw.Length)
				t.path = append(t.path, string(k.Data))
			}
			t.end = lineEnd(data, t.end)
			doc.tables = append(doc.tables, t)
			current, prefix = len(doc.tables)-1, t.path
		case unstable.KeyValue:
			doc.add(known, n, prefix, current, -1)
		default: // comments
		}
	}
	if err := parser.Error(); err != nil {
		var perr *unstable.ParserError
		if errors.As(err, &perr) {
			line, column := doc.position(int(parser.Range(perr.Highlight).Offset))
			return nil, &FileError{file, line, column, perr.Message}
		}
		return nil, &FileError{file, 1, 1, fmt.Sprintf("read TOML: %s", err)}
	}
	return doc, nil
}

func (d *document) add(known map[string]kind, n *unstable.Node, prefix []string, table, holder int) {
	e := entry{
		path: append([]string{}, prefix...), table: table, inline: holder >= 0, holder: holder,
		start: int(n.Raw.Offset), end: int(n.Raw.Offset + n.Raw.Length),
	}
	for it := n.Key(); it.Next(); {
		k := it.Node()
		e.path = append(e.path, string(k.Data))
		e.valueStart = int(k.Raw.Offset + k.Raw.Length)
	}
	for e.valueStart < e.end && strings.ContainsRune(" \t=", rune(d.data[e.valueStart])) {
		e.valueStart++
	}
	value := n.Value()
	e.kindOK = fits(known[e.key()], value)
	if value.Kind == unstable.String {
		e.text, e.isText = string(value.Data), true
	}
	if value.Kind == unstable.InlineTable {
		e.open = int(value.Raw.Offset) + 1
	}
	d.entries = append(d.entries, e)
	self := len(d.entries) - 1
	if value.Kind == unstable.InlineTable {
		for it := value.Children(); it.Next(); {
			if child := it.Node(); child.Kind == unstable.KeyValue {
				d.add(known, child, e.path, table, self)
			}
		}
	}
}

// find returns the entry of a dotted key.
func (d *document) find(key string) (entry, bool) {
	for _, e := range d.entries {
		if e.key() == key {
			return e, true
		}
	}
	return entry{}, false
}

// position returns line and column of an offset, both from 1; columns count
// bytes, as editors' goto does for plain text.
func (d *document) position(offset int) (line, column int) {
	before := string(d.data[d.begin:max(offset, d.begin)])
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndex(before, "\n")
}

// lineEnd is the offset after the newline that ends the line of offset.
func lineEnd(data []byte, offset int) int {
	for offset < len(data) {
		offset++
		if data[offset-1] == '\n' {
			break
		}
	}
	return offset
}

// lineStart is the offset of the first byte of the line of offset.
func lineStart(data []byte, offset int) int {
	for offset > 0 && data[offset-1] != '\n' {
		offset--
	}
	return offset
}
