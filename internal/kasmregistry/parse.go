// Package kasmregistry reads the lists of Kasm workspace registries, schemas 1.0
// and 1.1, as workspaces. All that is in them is somebody else's data.
package kasmregistry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// MaxList is the largest size of a list, in bytes.
const MaxList = 16 << 20

// maxItems bounds how many workspaces a list has.
const maxItems = 10_000

// Item is what became of one workspace of a list.
type Item struct {
	// Label is what the list calls it, or its place in the list.
	Label string
	// Workspace has a name that no other item has; nil where Err says what is
	// wrong with it.
	Workspace *workspace.Workspace
	// Left lists what the list says of it, and a workspace file has no key for.
	Left []string
	Err  error
}

// Parse reads a list.json or a workspace.json. icons is the address that the
// names of icons are below, nil where that is not known.
func Parse(data []byte, icons *url.URL) ([]Item, error) {
	if len(data) > MaxList {
		return nil, fmt.Errorf("it is larger than the %d bytes a list may have", MaxList)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var list struct {
		Workspaces   []json.RawMessage `json:"workspaces"`
		FriendlyName *json.RawMessage  `json:"friendly_name"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read it as a list of a Kasm workspace registry: %w", err)
	}
	entries := list.Workspaces
	if entries == nil && list.FriendlyName != nil {
		entries = []json.RawMessage{data}
	}
	if entries == nil {
		return nil, errors.New(`it is no list of a Kasm workspace registry: it has no "workspaces"`)
	}
	if len(entries) > maxItems {
		return nil, fmt.Errorf("it has more than the %d workspaces that are read", maxItems)
	}
	var given names
	var items []Item
	for i, raw := range entries {
		item := parseItem(raw, icons)
		if item.Label == "" {
			item.Label = fmt.Sprintf("number %d", i+1)
		}
		if item.Err == nil {
			item.finish(&given)
		}
		items = append(items, item)
	}
	return items, nil
}

// finish gives a workspace a name, and checks it as a file is checked.
func (i *Item) finish(given *names) {
	ws := i.Workspace
	i.Workspace = nil
	ws.Name = given.unique(ws.DisplayName())
	text, err := workspace.Encode(ws)
	if err == nil {
		ws, err = workspace.Decode(ws.Name, i.Label, text)
	}
	if err != nil {
		i.Err = withoutPlaces(err)
		return
	}
	ws.Path = ""
	i.Workspace = ws
}

// withoutPlaces leaves out the lines and columns of a text that nobody has seen.
func withoutPlaces(err error) error {
	var errs []error
	for _, p := range (workspace.File{Err: err}).Problems() {
		errs = append(errs, errors.New(p.Message))
	}
	return errors.Join(errs...)
}

// names are those that were given.
type names struct {
	taken []string
	// same counts the names that were asked for.
	same map[string]int
}

// maxBase leaves room behind a name for a number.
const maxBase = 100

// unique is the name of a workspace that people call base: as short as it can be,
// "Chrome (beta)" is chrome-beta.
func (n *names) unique(base string) string {
	words := strings.FieldsFunc(strings.ToLower(base), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_'
	})
	clean := strings.Join(words, "-")
	clean = strings.Trim(clean[:min(len(clean), maxBase)], "._-")
	if n.same == nil {
		n.same = map[string]int{}
	}
	n.same[clean]++
	if count := n.same[clean]; count > 1 && clean != "" {
		clean += fmt.Sprintf("-%d", count) // without trying all before it
	}
	name := workspace.UniqueName(clean, n.taken)
	n.taken = append(n.taken, name)
	return name
}
