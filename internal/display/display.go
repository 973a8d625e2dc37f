// Package display makes text from outside (container names, labels, registry
// messages) harmless before a terminal sees it.
package display

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Writer returns a writer that passes text on to out with every control
// character except newline and tab replaced by its \u escape. The escape is
// also what JSON uses inside strings, so JSON stays valid and keeps its value.
func Writer(out io.Writer) io.Writer {
	return &writer{out: out}
}

type writer struct{ out io.Writer }

func (w *writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.out, escape(string(p), "\n\t")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Line returns s as a single line: every control character, newline and tab
// included, becomes its \u escape.
func Line(s string) string { return escape(s, "") }

// Text returns s with every control character but newline and tab escaped.
func Text(s string) string { return escape(s, "\n\t") }

func escape(s, keep string) string {
	if strings.IndexFunc(s, func(r rune) bool { return unsafe(r, keep) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			b.WriteString("\uFFFD") // a byte that is no UTF-8
		case unsafe(r, keep):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unsafe tells whether r can move the cursor, change colours or reorder what
// is read: control characters, and the bidirectional overrides of Unicode
// (https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings).
func unsafe(r rune, keep string) bool {
	switch {
	case r == utf8.RuneError:
		return true
	case strings.ContainsRune(keep, r):
		return false
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x2028, r == 0x2029:
		return true
	}
	return unicode.IsControl(r)
}
