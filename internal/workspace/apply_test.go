package workspace

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

func TestApplyKeepsEveryOtherByte(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		edit   Edit
		after  string
	}{
		"a value":             {"# c\nimage  =  'x' # why\n", Edit{"image", "y"}, "# c\nimage  =  \"y\" # why\n"},
		"in a table":          {"[resources]\n# m\nmemory=\"1g\"\n[run]\n", Edit{"resources.memory", "2g"}, "[resources]\n# m\nmemory=\"2g\"\n[run]\n"},
		"dotted":              {"resources.memory = \"1g\"\n", Edit{"resources.memory", "2g"}, "resources.memory = \"2g\"\n"},
		"inline":              {"resources = { memory = \"1g\", cpus = 1 }\n", Edit{"resources.memory", "2g"}, "resources = { memory = \"2g\", cpus = 1 }\n"},
		"a list of lines":     {"categories = [\n  \"a\", # one\n]\nimage = \"x\"\n", Edit{"categories", []string{"b"}}, "categories = [\"b\"]\nimage = \"x\"\n"},
		"new at the top":      {"image = \"x\" # i\n# end of the top\n\n[run]\n", Edit{"enabled", false}, "image = \"x\" # i\nenabled = false\n# end of the top\n\n[run]\n"},
		"new before a table":  {"[run]\nopen = \"x\"\n", Edit{"image", "x"}, "image = \"x\"\n[run]\nopen = \"x\"\n"},
		"new in a table":      {"[run]\nopen = \"x\"\n\n[hooks]\n", Edit{"run.tmpfs", []string{"/t"}}, "[run]\nopen = \"x\"\ntmpfs = [\"/t\"]\n\n[hooks]\n"},
		"new in an empty one": {"[run] # r\n[hooks]\n", Edit{"run.open", "x"}, "[run] # r\nopen = \"x\"\n[hooks]\n"},
		"new table":           {"image = \"x\"\n", Edit{"resources.cpus", 1.5}, "image = \"x\"\n\n[resources]\ncpus = 1.5\n"},
		"new in inline":       {"resources = { cpus = 1 }\n", Edit{"resources.memory", "1g"}, "resources = { cpus = 1, memory = \"1g\" }\n"},
		"new in empty inline": {"resources = {}\n", Edit{"resources.memory", "1g"}, "resources = { memory = \"1g\" }\n"},
		"new beside dotted":   {"resources.cpus = 1\nimage = \"x\"\n", Edit{"resources.memory", "1g"}, "resources.cpus = 1\nresources.memory = \"1g\"\nimage = \"x\"\n"},
		"no newline at end":   {"image = \"x\"", Edit{"enabled", false}, "image = \"x\"\nenabled = false\n"},
		"an empty file":       {"", Edit{"image", "x"}, "image = \"x\"\n"},
		"only a comment":      {"# notes", Edit{"image", "x"}, "# notes\nimage = \"x\"\n"},
		"line ends of DOS":    {"image = \"x\"\r\n[run]\r\n", Edit{"enabled", false}, "image = \"x\"\r\nenabled = false\r\n[run]\r\n"},
		"removed":             {"# keep\nimage = \"x\" # gone\n# keep too\n", Edit{"image", nil}, "# keep\n# keep too\n"},
		"removed, many lines": {"categories = [\n\"a\",\n]\nimage = \"x\"\n", Edit{"categories", nil}, "image = \"x\"\n"},
		"removed from inline": {"resources = { memory = \"1g\", cpus = 1 }\n", Edit{"resources.memory", nil}, "resources = { cpus = 1 }\n"},
		"removed, not there":  {"image = \"x\"\n", Edit{"icon", nil}, "image = \"x\"\n"},
		"a table of strings":  {"[run]\nenvironment = { A = \"1\" }\n", Edit{"run.environment", map[string]string{"A": "2", "b c": "\n"}}, "[run]\nenvironment = { A = \"2\", \"b c\" = \"\\n\" }\n"},
		"a time":              {"[snapshot]\n", Edit{"snapshot.created", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, "[snapshot]\ncreated = 2026-01-02T03:04:05Z\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Apply([]byte(c.before), []Edit{c.edit})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.after {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.after)
			}
			again, err := Apply(got, []Edit{c.edit})
			if err != nil || string(again) != string(got) {
				t.Errorf("a second time it becomes:\n%s\n%v", again, err)
			}
		})
	}
}

func TestApplyRefusesWhatItCannotDoSafely(t *testing.T) {
	for name, c := range map[string]struct {
		before, want string
		edit         Edit
	}{
		"an unknown key":      {"", "not a key", Edit{"colour", "red"}},
		"a table":             {"", "not a key", Edit{"run", "x"}},
		"broken text":         {"image = ", "the file:1:", Edit{"image", "x"}},
		"spread over a table": {"[run.environment]\nA = \"1\"\n", "workspace edit", Edit{"run.environment", map[string]string{"B": "2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Apply([]byte(c.before), []Edit{c.edit}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v; want %s", got, err, c.want)
			}
		})
	}
}
