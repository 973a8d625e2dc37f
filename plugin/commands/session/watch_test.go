package session

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/docker/cli/cli/command/formatter"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/screen"
)

// several shows the sessions of the contexts a and b by a format.
func several(format string) (*live, []contexts.Answer[listed]) {
	options := &listOptions{format: format}
	shown := newLive(
		func(kinds bool) formatter.Format { return severalFormat(options, kinds) },
		func(out formatter.Context, answers []contexts.Answer[listed]) error {
			return contexts.Draw(severalTable(options, out), answers, severalRows(true))
		})
	shown.table = severalTable(options, formatter.Context{Format: severalFormat(options, false)})
	return shown, []contexts.Answer[listed]{{Context: &contexts.Context{Name: "a"}}, {Context: &contexts.Context{Name: "b"}}}
}

func one(id string, state session.State) session.Session {
	return session.Session{ID: id, Name: "name-" + id, Kind: session.Managed, State: state, SizeRw: -1}
}

func TestWhatChangesInSeveralContexts(t *testing.T) {
	shown, answers := several("{{.Context}} {{.Name}} {{.State}}{{.Error}}")
	server := session.Session{SessionID: "s1", Name: "server", Kind: session.Server, State: session.External}
	for _, step := range []struct {
		what       string
		change     func()
		news, view string
	}{
		{"the first that answers", func() { answers[1].Result.sessions = []session.Session{one("1", session.Running), server} },
			"b name-1 running\n server external\n", "b name-1 running\n server external\n"},
		{"another has the same id, and the same server", func() { answers[0].Result.sessions = []session.Session{server, one("1", session.Paused)} },
			"a name-1 paused\n", " server external\na name-1 paused\nb name-1 running\n"},
		{"one fails", func() { answers[1].Err = errors.New("lost") },
			"b  lost\n", " server external\na name-1 paused\nb name-1 running\nb  lost\n"},
		{"it still does", func() { answers[0].Result.sessions = answers[0].Result.sessions[:1] },
			"a name-1 gone\n", " server external\nb name-1 running\nb  lost\n"},
		{"it answers again", func() {
			answers[1].Err, answers[1].Result.sessions = nil, []session.Session{server, one("1", session.Stopped)}
		},
			"b name-1 stopped\n", " server external\nb name-1 stopped\n"},
		{"and fails again", func() { answers[1].Err = errors.New("lost") },
			"b  lost\n", " server external\nb name-1 stopped\nb  lost\n"},
	} {
		step.change()
		view, err := shown.next(answers)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(view.News); got != step.news {
			t.Errorf("%s: news are %q", step.what, got)
		}
		if got := rendered(t, view); got != step.view || view.Problem != "" {
			t.Errorf("%s: it shows %q, problem %q", step.what, got, view.Problem)
		}
	}
}

func rendered(t *testing.T, view screen.View) string {
	t.Helper()
	var out bytes.Buffer
	if err := view.Render(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheColumnOfKindsComesWithTheFirstOfThem(t *testing.T) {
	shown, answers := several("")
	var all strings.Builder
	for _, sessions := range [][]session.Session{
		{one("1", session.Running)}, {one("1", session.Running), one("2", session.Running)},
		{{ID: "3", Name: "name-3", Kind: session.Agent, State: session.Running}},
	} {
		answers[0].Result.sessions = sessions
		view, err := shown.next(answers)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(view.News)
	}
	if got := all.String(); strings.Count(got, "CONTAINER ID") != 2 || strings.Count(got, "KIND") != 1 || strings.Index(got, "name-2") > strings.Index(got, "KIND") {
		t.Errorf("the news were\n%s", got)
	}
}

func TestProblemsThatNoRowShowsAreBelow(t *testing.T) {
	shown, answers := several("{{.Name}}")
	answers[0].Err = errors.New("lost")
	answers[1].Result.err = errors.New("a record is damaged")
	view, err := shown.next(answers)
	if want := "a record is damaged\ncontext \"a\": lost"; err != nil || view.Problem != want {
		t.Errorf("the problem is %q: %v", view.Problem, err)
	}
	bad, answers := several("{{.Nothing}}")
	answers[0].Result.sessions = []session.Session{one("1", session.Running)}
	if _, err := bad.next(answers); err == nil {
		t.Error("a bad template is taken")
	}
	if err := view.Render(io.Discard); err != nil {
		t.Error(err)
	}
}
