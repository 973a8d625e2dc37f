package workspace

import (
	"fmt"
	"slices"
	"strings"
)

// UniqueName makes a valid name from base that is not among those taken: other
// characters become '-', and -2, -3 … is added.
func UniqueName(base string, taken []string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, base)
	clean = strings.TrimLeft(clean, "._-")
	if clean == "" {
		clean = "workspace"
	}
	for n := 1; ; n++ {
		suffix := ""
		if n > 1 {
			suffix = fmt.Sprintf("-%d", n)
		}
		name := clean[:min(len(clean), maxName-len(suffix))] + suffix
		if !slices.Contains(taken, name) {
			return name
		}
	}
}
