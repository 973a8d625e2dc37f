package diff

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// share is the part of the whole that earns a path a row of its own.
const share = 50

// node is a directory or a file in the tree of what has changed.
type node struct {
	entry
	listed   bool
	children map[string]*node
	// The sums of what is below, by kind.
	sums map[Kind]*Row
}

// collapse makes rows of entries: what was added as a whole is one row, what is
// large has one of its own, and all else is one row for each directory and kind.
func collapse(entries []entry) []Row {
	root := &node{entry: entry{path: "/", kind: Changed, dir: true}}
	for _, e := range entries {
		root.insert(e)
	}
	whole := root.sum()
	var rows []Row
	root.rows(max(whole/share, 1), &rows)
	sortRows(rows)
	return rows
}

func (n *node) insert(e entry) {
	at := n
	for name := range strings.SplitSeq(strings.Trim(e.path, "/"), "/") {
		child := at.children[name]
		if child == nil {
			child = &node{entry: entry{path: path.Join(at.path, name), kind: Changed, dir: true}}
			if at.children == nil {
				at.children = map[string]*node{}
			}
			at.children[name] = child
		}
		at = child
	}
	at.listed = true
	at.entry = e
}

// sum fills in the sums of n and returns its whole size.
func (n *node) sum() int64 {
	n.sums = map[Kind]*Row{}
	add := func(kind Kind, files int, size int64) {
		row := n.sums[kind]
		if row == nil {
			row = &Row{Kind: kind, Size: Unknown}
			n.sums[kind] = row
		}
		row.Files += files
		if size != Unknown {
			row.Size = max(row.Size, 0) + size
		}
	}
	if n.listed && (len(n.children) == 0 || n.kind == Added) {
		files := 1
		if n.dir {
			files = 0
		}
		add(n.kind, files, n.size)
	}
	var whole int64
	for _, child := range n.children {
		whole += child.sum()
		for kind, row := range child.sums {
			add(kind, row.Files, row.Size)
		}
	}
	if len(n.children) == 0 {
		whole = max(n.size, 0)
	}
	return whole
}

func (n *node) total() int64 {
	var size int64
	for _, row := range n.sums {
		size += max(row.Size, 0)
	}
	return size
}

// rows appends the rows of what is below n.
func (n *node) rows(threshold int64, out *[]Row) {
	rest := map[Kind]*Row{}
	for _, child := range n.children {
		if len(child.sums) == 0 {
			continue
		}
		whole := child.kind == Added && len(child.sums) == 1
		if child.total() >= threshold || len(n.children) == 1 || n.path == "/" {
			if whole || len(child.children) == 0 {
				for _, row := range child.sums {
					row.Path = child.name()
					*out = append(*out, *row)
				}
			} else {
				child.rows(threshold, out)
			}
			continue
		}
		for kind, row := range child.sums {
			if rest[kind] == nil {
				rest[kind] = &Row{Path: (&node{entry: entry{path: n.path, dir: true}}).name(), Kind: kind, Size: Unknown}
			}
			rest[kind].Files += row.Files
			if row.Size != Unknown {
				rest[kind].Size = max(rest[kind].Size, 0) + row.Size
			}
		}
	}
	for _, row := range rest {
		*out = append(*out, *row)
	}
}

func (n *node) name() string {
	if (n.dir || len(n.children) > 0) && !strings.HasSuffix(n.path, "/") {
		return n.path + "/"
	}
	return n.path
}

// each gives every path but changed directories, which only mark the way to
// what has changed in them, a row of its own.
func each(entries []entry) []Row {
	rows := make([]Row, 0, len(entries))
	for _, e := range entries {
		if e.dir && e.kind == Changed {
			continue
		}
		row := Row{Path: e.path, Kind: e.kind, Size: e.size, Files: 1}
		if e.dir {
			row.Path, row.Files = strings.TrimSuffix(e.path, "/")+"/", 0
		}
		rows = append(rows, row)
	}
	sortRows(rows)
	return rows
}

func sortRows(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(b.Files, a.Files), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind))
	})
}
