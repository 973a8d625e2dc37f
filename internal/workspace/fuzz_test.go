package workspace

import (
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

var seeds = []string{
	full, "", "# only a comment", "image = \"x\"\r\n[run]\r\nenvironment.A = 'b'\r\n", "resources = { cpus = 1, memory = \"1g\" }\nimage='x'",
	"type = \"server\"\nurl = \"rdp://host:3389\"", "image = \"\"\"x\"\"\"\n[run.environment]\n\"a b\" = \"c\"\n", "[[run]]\n", "a.b.c = { d = [1, { e = 2 }] }",
	"\xef\xbb\xbfimage = \"x\"", "image = \"\xff\"",
	"image = 'x'\nresources.memory = '1g' # m\nresources.cpus = 1e0\n", "image = 'x'\nrun = { environment = { A = 'b' }, ports = [ # p\n'80', ], }",
	"image = 'x'\ncategories = [\n # one\n \"a\", # two\n]\n\n# end", "image = 'x'\n\"resources.memory\" = 1\n[snapshot]\ncreated = 2026-01-02 03:04:05.6+07:08",
	"image = 'x'\n[run]\ntmpfs = []\n[hooks]\ntimeout = '1s'\n", "image = 'x'\n[run]\nnetworks = ['name=a,alias=b', 'c']\nrm = true\n[resources]\nulimits = [\"nofile=1:2\"]\ngpus = 'all'\n",
	"image = 'x'\n[lifetime]\nlimit = '1.5h'\nidle = \"90m\"\non_expiry = ''\n",
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
		if !equal(plain(a), plain(b)) {
			t.Fatalf("%+v became %+v through %q", a, b, encoded)
		}
	})
}

// plain is a workspace without what two texts that say the same differ in.
func plain(w *Workspace) Workspace {
	out := *w
	out.Revision = ""
	for _, list := range []*[]string{&out.Categories, &out.Run.Ports, &out.Run.Volumes, &out.Run.Networks, &out.Resources.Ulimits, &out.Hooks.BeforeStop, &out.Hooks.BeforeSnapshot} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if len(out.Run.Environment) == 0 {
		out.Run.Environment = nil
	}
	if w.Snapshot != nil {
		s := *w.Snapshot
		s.Created = s.Created.UTC()
		out.Snapshot = &s
	}
	return out
}

func FuzzApply(f *testing.F) {
	for _, s := range seeds {
		for i := range Keys() {
			f.Add(s, uint(i), "value", true)
			f.Add(s, uint(i), "", false)
		}
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
		got, err := Apply([]byte(text), []Edit{edit})
		if err != nil {
			return
		}
		otherValuesStay(t, text, string(got), edit.Key)
		otherLinesStay(t, text, string(got), edit.Key)
		if again, err := Apply(got, []Edit{edit}); err != nil || string(again) != string(got) {
			t.Fatalf("%q became %q, %v", got, again, err)
		}
	})
}

// otherValuesStay asks a parser that Apply does not decode with, so that a
// mistake of one is not hidden by itself.
func otherValuesStay(t *testing.T, before, after, key string) {
	t.Helper()
	var was, is map[string]any
	if toml.Unmarshal([]byte(strings.TrimPrefix(before, string(bom))), &was) != nil {
		return
	}
	if err := toml.Unmarshal([]byte(strings.TrimPrefix(after, string(bom))), &is); err != nil {
		t.Fatalf("%q became %q: %v", before, after, err)
	}
	for _, tree := range []map[string]any{was, is} {
		table, last, nested := cutLast(key)
		if !nested {
			delete(tree, last)
		} else if child, ok := tree[table].(map[string]any); ok {
			if delete(child, last); len(child) == 0 {
				delete(tree, table)
			}
		}
	}
	if len(was)+len(is) > 0 && !equal(was, is) {
		t.Fatalf("%q became %q: %v is now %v", before, after, was, is)
	}
}

// otherLinesStay checks that all lines are there and in order, except those
// that the key, or the inline table it stands in, is on.
func otherLinesStay(t *testing.T, before, after, key string) {
	t.Helper()
	doc, err := parse("f", []byte(before))
	if err != nil {
		t.Fatal(err)
	}
	e, found := doc.find(key)
	if !found {
		if table, _, nested := cutLast(key); nested {
			e, found = doc.find(table)
		}
	}
	kept := before
	if found {
		kept = before[:max(lineStart(doc.data, e.start), doc.begin)] + before[lineEnd(doc.data, e.end):]
	}
	lines := func(text string) []string {
		text = strings.TrimPrefix(text, string(bom))
		return strings.Split(strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
	}
	rest := lines(after)
	for _, line := range lines(kept) {
		i := slices.Index(rest, line)
		if i < 0 && line != "" {
			t.Fatalf("the line %q is gone or moved: %q became %q", line, before, after)
		}
		rest = rest[i+1:]
	}
}
