package workspace

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/agext/levenshtein"
	"github.com/pelletier/go-toml/v2/unstable"
)

// kind is what a key's value must be.
type kind string

const (
	kindString  kind = "a string"
	kindBool    kind = "true or false"
	kindFloat   kind = "a number"
	kindStrings kind = "a list of strings"
	kindMap     kind = "a table of strings"
	kindTime    kind = "a date and time"
	kindTable   kind = "a table"
	// kindDuration is a string that a Duration can be read from.
	kindDuration kind = "a duration such as \"8h\""
)

// schema maps every key, dotted, to what its value must be. It follows from
// the struct, so that the two cannot differ. Nobody may change the map.
var schema = sync.OnceValue(func() map[string]kind {
	keys := map[string]kind{}
	addKeys(keys, "", reflect.TypeFor[Workspace]())
	return keys
})

func addKeys(keys map[string]kind, prefix string, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("toml")
		if tag == "-" || tag == "" {
			continue
		}
		ft := field.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		switch {
		case ft == reflect.TypeFor[time.Time]():
			keys[prefix+tag] = kindTime
		case ft == reflect.TypeFor[Duration]():
			keys[prefix+tag] = kindDuration
		case ft.Kind() == reflect.String:
			keys[prefix+tag] = kindString
		case ft.Kind() == reflect.Bool:
			keys[prefix+tag] = kindBool
		case ft.Kind() == reflect.Float64:
			keys[prefix+tag] = kindFloat
		case ft.Kind() == reflect.Slice:
			keys[prefix+tag] = kindStrings
		case ft.Kind() == reflect.Map:
			keys[prefix+tag] = kindMap
		default:
			keys[prefix+tag] = kindTable
			addKeys(keys, prefix+tag+".", ft)
		}
	}
}

// Keys lists every key that can be set, dotted and sorted.
func Keys() []string {
	keys := maps.Clone(schema())
	maps.DeleteFunc(keys, func(_ string, k kind) bool { return k == kindTable })
	return slices.Sorted(maps.Keys(keys))
}

// nearest returns the known key most like an unknown one, "" if none is.
func nearest(key string, known []string) string {
	best, score := "", 0.55
	for _, k := range known {
		s := levenshtein.Match(key, k, nil)
		// A key in the wrong table is as likely as a misspelt one.
		if _, last, ok := cutLast(k); ok && last == key {
			s = 1
		}
		if s > score {
			best, score = k, s
		}
	}
	return best
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndex(s, ".")
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// fits tells whether a TOML value can be of kind k.
func fits(k kind, n *unstable.Node) bool {
	switch k {
	case kindString, kindDuration:
		return n.Kind == unstable.String
	case kindBool:
		return n.Kind == unstable.Bool
	case kindFloat:
		return n.Kind == unstable.Float || n.Kind == unstable.Integer
	case kindTime:
		return n.Kind == unstable.DateTime
	case kindStrings:
		if n.Kind != unstable.Array {
			return false
		}
		for it := n.Children(); it.Next(); {
			if c := it.Node().Kind; c != unstable.String && c != unstable.Comment {
				return false
			}
		}
		return true
	case kindMap, kindTable:
		return n.Kind == unstable.InlineTable
	}
	return false
}
