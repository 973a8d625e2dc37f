package workspace

import (
	"testing"

	"github.com/BurntSushi/toml"
)

var seeds = []string{
	full, "", "# only a comment", "image = \"x\"\r\n[run]\r\nenvironment.A = 'b'\r\n", "resources = { cpus = 1, memory = \"1g\" }\nimage='x'",
	"type = \"server\"\nurl = \"rdp://host:3389\"", "image = \"\"\"x\"\"\"\n[run.environment]\n\"a b\" = \"c\"\n", "[[run]]\n", "a.b.c = { d = [1, { e = 2 }] }",
	"\xef\xbb\xbfimage = \"x\"", "image = \"\xff\"",
}

func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Decode("w", "f", []byte(text))
		if err != nil {
			return
		}
		encoded, err := Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Decode("w", "f", encoded)
		if err != nil {
			t.Fatalf("%v\nin %q\nfrom %q", err, encoded, text)
		}
		again, err := Encode(b)
		if err != nil || string(again) != string(encoded) {
			t.Fatalf("%q became %q, %v", encoded, again, err)
		}
	})
}

func FuzzApply(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, uint(3), "value", true)
		f.Add(s, uint(9), "", false)
	}
	f.Fuzz(func(t *testing.T, text string, which uint, value string, keep bool) {
		keys := Keys()
		edit := Edit{Key: keys[which%uint(len(keys))]}
		if keep {
			switch schema()[edit.Key] {
			case kindStrings:
				edit.Value = []string{value, value}
			case kindMap:
				edit.Value = map[string]string{value: value}
			case kindBool:
				edit.Value = which%2 == 0
			case kindFloat:
				edit.Value = float64(which) / 4
			default:
				edit.Value = value
			}
		}
		var before map[string]any
		if toml.Unmarshal([]byte(text), &before) != nil {
			return
		}
		got, err := Apply([]byte(text), []Edit{edit})
		if err != nil {
			return
		}
		// What was accepted differs by the edit only, and stays as it is when
		// the same edit comes again.
		if err := checkEdit([]byte(text), got, edit); err != nil {
			t.Fatal(err)
		}
		if again, err := Apply(got, []Edit{edit}); err != nil || string(again) != string(got) {
			t.Fatalf("%q became %q, %v", got, again, err)
		}
	})
}
