package contexts

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/docker/cli/cli/command/formatter"

	"github.com/docker-kasm/docker-kasm/internal/display"
)

type fakeRow struct {
	formatter.HeaderContext
	context, id, name string
	Error             string
}

func (r *fakeRow) Context() string              { return r.context }
func (r *fakeRow) ID() string                   { return r.id }
func (r *fakeRow) Name() string                 { return r.name }
func (r *fakeRow) MarshalJSON() ([]byte, error) { return formatter.MarshalJSON(r) }

func TestRows(t *testing.T) {
	long := errors.New("list sessions: " + strings.Repeat("x", 100) + ": no such file")
	answers := []Answer[[]string]{
		{Context: &Context{Name: "alpha"}, Result: []string{"1", "22"}},
		{Context: &Context{Name: "b"}, Err: errors.New(`error during connect: Head "http://x/_ping": first` + "\nsecond\x1b[2J\tthird")},
		{Context: &Context{Name: "cc"}, Err: long},
		{Context: &Context{Name: "d"}, Result: []string{"4"}},
	}
	rows := func(a Answer[[]string]) (rows []formatter.SubContext) {
		for _, id := range a.Result {
			rows = append(rows, &fakeRow{context: a.Context.Name, id: id, name: "name-" + id})
		}
		return rows
	}
	const table = "table {{.ID}}\t{{.Name}}"
	full := "context \"cc\": " + long.Error()
	all := "context \"b\": error during connect: Head \"http://x/_ping\": first\nsecond\x1b[2J\tthird\n" + full
	for name, c := range map[string]struct {
		format    formatter.Format
		second    string
		trunc     bool
		want, err string
	}{
		"errors stand in place, and are cut": {First(table), "ID", true, `
CONTEXT   ID        NAME
alpha     1         name-1
alpha     22        name-22
b         error: first; second\u001b[2J third
cc        error: list sessions: xxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxxxxxxxx: no such file
d         4         name-4
`, full},
		"or whole": {First(table), "ID", false, `
CONTEXT   ID        NAME
alpha     1         name-1
alpha     22        name-22
b         error: first; second\u001b[2J third
cc        error: ` + long.Error() + `
d         4         name-4
`, ""},
		"a table of one's own has none": {"table {{.Name}}\t{{.Context}}", "", true, `
NAME      CONTEXT
name-1    alpha
name-22   alpha
name-4    d
`, all},
		"unless it asks for them": {"{{.Context}}:{{.Name}}:{{.Error}}", "", true, `
alpha:name-1:
alpha:name-22:
b::first; second\u001b[2J third
cc::` + long.Error() + `
d:name-4:
`, ""},
		"only ids": {"{{.ID}}", "", true, "\n1\n22\n4\n", all},
		"json": {"json", "", true, `
{"Context":"alpha","ID":"1","Name":"name-1"}
{"Context":"alpha","ID":"22","Name":"name-22"}
{"Context":"b","Error":"first; second\u001b[2J third"}
{"Context":"cc","Error":"` + long.Error() + `"}
{"Context":"d","ID":"4","Name":"name-4"}
`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := Write(Table{
				Context: formatter.Context{Output: display.Writer(&out), Format: c.format, Trunc: c.trunc},
				Header:  Header(formatter.SubHeaderContext{"ID": "ID", "Name": "NAME"}), Second: c.second,
			}, answers, rows)
			if err == nil || err.Error() != c.err {
				t.Errorf("error %v, not %q", err, c.err)
			}
			if got := "\n" + out.String(); got != c.want {
				t.Errorf("got %s\ninstead of %s", got, c.want)
			}
		})
	}
	if err := Write(Table{Context: formatter.Context{Output: io.Discard, Format: "json"}}, answers[:1], rows); err != nil {
		t.Errorf("nothing failed: %v", err)
	}
}

func TestOfAnSSHThatFailedItsOwnWordsAreShown(t *testing.T) {
	err := errors.New(`error during connect: Get "http://docker.example.com/_ping": command [ssh -- far docker system dial-stdio] has exited with exit status 255, make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: stderr=ssh: connect to host far port 22: Connection refused` + "\r\n")
	if got := oneLine(err); got != "ssh: connect to host far port 22: Connection refused" {
		t.Error(got)
	}
}
