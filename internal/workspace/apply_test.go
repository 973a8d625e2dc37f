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
		"a value":                          {"# c\nimage  =  'x' # why\n", Edit{"image", "y"}, "# c\nimage  =  \"y\" # why\n"},
		"in a table":                       {"[resources]\n# m\nmemory=\"1g\"\n[run]\n", Edit{"resources.memory", "2g"}, "[resources]\n# m\nmemory=\"2g\"\n[run]\n"},
		"dotted":                           {"resources.memory = \"1g\"\n", Edit{"resources.memory", "2g"}, "resources.memory = \"2g\"\n"},
		"inline":                           {"resources = { memory = \"1g\", cpus = 1 }\n", Edit{"resources.memory", "2g"}, "resources = { memory = \"2g\", cpus = 1 }\n"},
		"a list of lines":                  {"categories = [\n  \"a\", # one\n]\nimage = \"x\"\n", Edit{"categories", []string{"b"}}, "categories = [\"b\"]\nimage = \"x\"\n"},
		"new at the top":                   {"image = \"x\" # i\n# end of the top\n\n[run]\n", Edit{"enabled", false}, "image = \"x\" # i\nenabled = false\n# end of the top\n\n[run]\n"},
		"new before a table":               {"[run]\nopen = \"x\"\n", Edit{"image", "x"}, "image = \"x\"\n[run]\nopen = \"x\"\n"},
		"new in a table":                   {"[run]\nopen = \"x\"\n\n[hooks]\n", Edit{"run.tmpfs", []string{"/t"}}, "[run]\nopen = \"x\"\ntmpfs = [\"/t\"]\n\n[hooks]\n"},
		"new in an empty one":              {"[run] # r\n[hooks]\n", Edit{"run.open", "x"}, "[run] # r\nopen = \"x\"\n[hooks]\n"},
		"new table":                        {"image = \"x\"\n", Edit{"resources.cpus", 1.5}, "image = \"x\"\n\n[resources]\ncpus = 1.5\n"},
		"new in inline":                    {"resources = { cpus = 1 }\n", Edit{"resources.memory", "1g"}, "resources = { cpus = 1, memory = \"1g\" }\n"},
		"new in empty inline":              {"resources = {}\n", Edit{"resources.memory", "1g"}, "resources = { memory = \"1g\" }\n"},
		"new beside dotted":                {"resources.cpus = 1\nimage = \"x\"\n", Edit{"resources.memory", "1g"}, "resources.cpus = 1\nresources.memory = \"1g\"\nimage = \"x\"\n"},
		"no newline at end":                {"image = \"x\"", Edit{"enabled", false}, "image = \"x\"\nenabled = false\n"},
		"an empty file":                    {"", Edit{"image", "x"}, "image = \"x\"\n"},
		"only a comment":                   {"# notes", Edit{"image", "x"}, "# notes\nimage = \"x\"\n"},
		"line ends of DOS":                 {"image = \"x\"\r\n[run]\r\n", Edit{"enabled", false}, "image = \"x\"\r\nenabled = false\r\n[run]\r\n"},
		"removed":                          {"# keep\nimage = \"x\" # gone\n# keep too\n", Edit{"image", nil}, "# keep\n# keep too\n"},
		"removed, many lines":              {"categories = [\n\"a\",\n]\nimage = \"x\"\n", Edit{"categories", nil}, "image = \"x\"\n"},
		"removed from inline":              {"resources = { memory = \"1g\", cpus = 1 }\n", Edit{"resources.memory", nil}, "resources = { cpus = 1 }\n"},
		"removed, not there":               {"image = \"x\"\n", Edit{"icon", nil}, "image = \"x\"\n"},
		"removed in a table":               {"[resources] # r\n# keep\nmemory = \"1g\"\ncpus = 1", Edit{"resources.memory", nil}, "[resources] # r\n# keep\ncpus = 1"},
		"removed, no newline":              {"image = \"x\"\nicon = \"y\"", Edit{"icon", nil}, "image = \"x\"\n"},
		"removed, line ends of DOS":        {"image = \"x\"\r\nicon = \"y\"\r\n", Edit{"image", nil}, "icon = \"y\"\r\n"},
		"removed, last dotted":             {"resources.memory = \"1g\"\nimage = \"x\"\n", Edit{"resources.memory", nil}, "image = \"x\"\n"},
		"removed, one of several dotted":   {"resources.memory = \"1g\"\nresources.cpus = 1\n", Edit{"resources.memory", nil}, "resources.cpus = 1\n"},
		"removed, first in inline":         {"resources = { memory = \"1g\", cpus = 1 } # r\n", Edit{"resources.memory", nil}, "resources = { cpus = 1 } # r\n"},
		"removed, middle in inline":        {"resources = { cpus = 1, memory = \"1g\", gpus = \"\" }\n", Edit{"resources.memory", nil}, "resources = { cpus = 1, gpus = \"\" }\n"},
		"removed, last in inline":          {"resources = { cpus = 1, memory = \"1g\" }\n", Edit{"resources.memory", nil}, "resources = { cpus = 1 }\n"},
		"removed, alone in inline":         {"resources = { cpus = 1 }\n", Edit{"resources.cpus", nil}, "resources = { }\n"},
		"removed, a table in inline":       {"run = { environment = { A = \"1\" }, open = \"x\" }\n", Edit{"run.environment", nil}, "run = { open = \"x\" }\n"},
		"lines with comments, DOS":         {"categories = [ # c\r\n  \"a\",\r\n]  # end\r\nicon = \"y\"\r\n", Edit{"categories", []string{"b"}}, "categories = [\"b\"]  # end\r\nicon = \"y\"\r\n"},
		"text of several lines":            {"description = \"\"\"\na\n# no comment\"\"\" # c\nicon = \"y\"\n", Edit{"description", "d"}, "description = \"d\" # c\nicon = \"y\"\n"},
		"a key in quotes":                  {"\"image\" = 'x'\n", Edit{"image", "y"}, "\"image\" = \"y\"\n"},
		"beside a table of its own":        {"[run.environment]\nA = \"1\"\n", Edit{"run.open", "x"}, "[run.environment]\nA = \"1\"\n\n[run]\nopen = \"x\"\n"},
		"new table, line ends of DOS":      {"image = \"x\"\r\n# end", Edit{"run.open", "x"}, "image = \"x\"\r\n# end\r\n\r\n[run]\r\nopen = \"x\"\r\n"},
		"new table in an empty file":       {"", Edit{"run.open", "x"}, "[run]\nopen = \"x\"\n"},
		"new in inline of lines":           {"resources = {\n  cpus = 1, # c\n}\n", Edit{"resources.memory", "1g"}, "resources = {\n  cpus = 1, memory = \"1g\", # c\n}\n"},
		"an empty list":                    {"categories = [\"a\"]\n", Edit{"categories", []string(nil)}, "categories = []\n"},
		"behind a byte order mark":         {"\xef\xbb\xbf[run]\n", Edit{"image", "x"}, "\xef\xbb\xbfimage = \"x\"\n[run]\n"},
		"removed behind a byte order mark": {"\xef\xbb\xbfimage = \"x\"\n", Edit{"image", nil}, "\xef\xbb\xbf"},
		"a table of strings":               {"[run]\nenvironment = { A = \"1\" }\n", Edit{"run.environment", map[string]string{"A": "2", "b c": "\n"}}, "[run]\nenvironment = { A = \"2\", \"b c\" = \"\\n\" }\n"},
		"a time":                           {"[snapshot]\n", Edit{"snapshot.created", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, "[snapshot]\ncreated = 2026-01-02T03:04:05Z\n"},
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
		"an unknown key":          {"", "not a key", Edit{"colour", "red"}},
		"a table":                 {"", "not a key", Edit{"run", "x"}},
		"inside inline of lines":  {"resources = { memory = \"1g\", # m\n cpus = 1 }\n", "several lines", Edit{"resources.memory", nil}},
		"dotted inside inline":    {"run = { environment.A = \"1\" }\n", "workspace edit", Edit{"run.environment", nil}},
		"a value that is no text": {"", "workspace edit", Edit{"icon", "\xff"}},
		"a list of tables":        {"[[run]]\n", "workspace edit", Edit{"run.open", "x"}},
		"broken text":             {"image = ", "the file:1:", Edit{"image", "x"}},
		"spread over a table":     {"[run.environment]\nA = \"1\"\n", "workspace edit", Edit{"run.environment", map[string]string{"B": "2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Apply([]byte(c.before), []Edit{c.edit}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v; want %s", got, err, c.want)
			}
		})
	}
}
