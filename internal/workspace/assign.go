package workspace

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// ParseAssignment reads KEY=VALUE as typed on a command line: strings bare,
// lists and tables in TOML. A list or table of which nothing is typed removes
// the key; [] and {} are written as they are.
func ParseAssignment(s string) (Edit, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return Edit{}, fmt.Errorf("%q is no KEY=VALUE", s)
	}
	key = strings.TrimSpace(key)
	k, err := keyKind(key)
	if err != nil {
		return Edit{}, err
	}
	bad := func(example string) (Edit, error) {
		return Edit{}, fmt.Errorf("%s must be %s, such as %s=%s", key, k, key, example)
	}
	e := Edit{Key: key}
	switch k {
	case kindString:
		if !utf8.ValidString(value) {
			return Edit{}, fmt.Errorf("%s is not UTF-8 text: write it in that encoding", key)
		}
		e.Value = value
	case kindDuration:
		if err := new(Duration).UnmarshalText([]byte(value)); err != nil {
			return Edit{}, fmt.Errorf("%s: %w", key, err)
		}
		e.Value = value
	case kindBool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return bad("true")
		}
		e.Value = b
	case kindFloat:
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return bad("1.5")
		}
		e.Value = f
	case kindTime:
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return bad("2006-01-02T15:04:05Z")
		}
		e.Value = t
	case kindStrings:
		var one struct{ V []string }
		if value != "" && !unmarshalOne(value, &one) {
			return bad(`'["a", "b"]'`)
		}
		if one.V != nil {
			e.Value = one.V
		}
	case kindMap:
		var one struct{ V map[string]string }
		if value != "" && !unmarshalOne(value, &one) {
			return bad(`'{ A = "b" }'`)
		}
		if one.V != nil {
			e.Value = one.V
		}
	case kindTable:
	}
	return e, nil
}

// unmarshalOne reads a TOML value into the field V, and nothing beside it: what
// follows on another line would be lost without a word.
func unmarshalOne(value string, into any) bool {
	var all map[string]any
	text := []byte("V = " + value)
	return toml.Unmarshal(text, &all) == nil && len(all) == 1 && toml.Unmarshal(text, into) == nil
}

// ParseUnset reads a KEY that is to be removed.
func ParseUnset(key string) (Edit, error) {
	key = strings.TrimSpace(key)
	if _, err := keyKind(key); err != nil {
		return Edit{}, err
	}
	return Edit{Key: key}, nil
}

func keyKind(key string) (kind, error) {
	k := schema()[key]
	if k != "" && k != kindTable {
		return k, nil
	}
	if near := nearest(key, Keys()); near != "" {
		return "", fmt.Errorf("unknown key %q: did you mean %q?", key, near)
	}
	return "", fmt.Errorf("unknown key %q: the keys are %s", key, strings.Join(Keys(), ", "))
}
