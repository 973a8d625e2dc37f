package display

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLineEscapesWhatATerminalActsOn(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain text stays":             {"Firefox – 日本語", "Firefox – 日本語"},
		"escape sequences":             {"x\x1b[2Jy", `x\u001b[2Jy`},
		"newline and tab":              {"a\nb\tc", `a\u000ab\u0009c`},
		"delete and C1 controls":       {"a\x7fb\u009bc", `a\u007fb\u009bc`},
		"bidirectional overrides":      {"a\u202eb\u2066c", `a\u202eb\u2066c`},
		"bytes that are no UTF-8":      {"a\xffb", "a\uFFFDb"},
		"a replacement character too":  {"a\uFFFDb", "a\\ufffdb"},
		"carriage return hides no row": {"good\rbad", `good\u000dbad`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Line(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestWriterKeepsJSONAndItsValues(t *testing.T) {
	in := map[string]string{"name": "x\x1b[2J\u009b\u202ey\n"}
	var out strings.Builder
	if err := json.NewEncoder(Writer(&out)).Encode(in); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\u009b\u202e") {
		t.Errorf("control characters got through: %q", out.String())
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil {
		t.Fatal(err)
	}
	if back["name"] != in["name"] {
		t.Errorf("the value became %q", back["name"])
	}
}

func TestWriterReportsAllBytesWritten(t *testing.T) {
	var out strings.Builder
	if n, err := Writer(&out).Write([]byte("a\x1bb\n")); n != 4 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}
