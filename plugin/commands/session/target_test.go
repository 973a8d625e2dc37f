package session

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/streams"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

// answer is what a context says when it is asked for names: for each a session, or
// an error.
func answer(context string, said map[string]error) contexts.Answer[map[string]target] {
	c := &contexts.Context{Name: context}
	targets := map[string]target{}
	for name, err := range said {
		targets[name] = target{cli: c, session: session.Session{Name: name}, err: err}
	}
	return contexts.Answer[map[string]target]{Context: c, Result: targets}
}

func TestOnlyAContextThatCertainlyHasASessionIsChosen(t *testing.T) {
	none := &session.NotFoundError{Name: "s"}
	near := &session.NotFoundError{Name: "s", Near: []string{"s1"}}
	silent := contexts.Answer[map[string]target]{Context: &contexts.Context{Name: "silent"}, Err: errors.New("no answer")}
	asked := []string{"one", "silent", "two"}
	for name, c := range map[string]struct {
		arg     string
		certain bool
		answers []contexts.Answer[map[string]target]
		in, err string
	}{
		"one has it":          {"s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": none}), answer("two", map[string]error{"s": nil})}, "two", ""},
		"two have it":         {"s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": nil}), answer("two", map[string]error{"s": nil})}, "", `session "s" is in several contexts: say "one/s" or "two/s"`},
		"one is said":         {"two/s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": nil}), silent, answer("two", map[string]error{"s": nil})}, "two", ""},
		"another is silent":   {"s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": nil}), silent}, "", `session "s" is in context "one", but context "silent" cannot be asked and may have one too: say "one/s"`},
		"to look is harmless": {"s", false, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": nil}), silent}, "one", ""},
		"the said one is silent": {"silent/s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": nil}), silent}, "",
			`session "silent/s" is not found: context "silent" cannot be asked`},
		"none has it":          {"s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": none}), answer("two", map[string]error{"s": none})}, "", `no session "s" in context "one" or "two"`},
		"one has a similar":    {"s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": none}), answer("two", map[string]error{"s": near})}, "", `context "two": no session "s": did you mean "s1"?`},
		"it is not asked":      {"three/s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": nil})}, "", `context "three" is not among those that are asked: one, silent, two`},
		"it is to be left":     {"s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": errors.New("busy")})}, "", `context "one": busy`},
		"it is not one there":  {"s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": errors.New("not unique")}), answer("two", map[string]error{"s": nil})}, "", `is in several contexts`},
		"a slash of docker's":  {"/s", true, []contexts.Answer[map[string]target]{answer("one", map[string]error{"/s": nil})}, "one", ""},
		"none and one is mute": {"s", false, []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": none}), silent}, "", `session "s" is not found: context "silent" cannot be asked`},
	} {
		t.Run(name, func(t *testing.T) {
			got := choose(c.arg, asked, c.answers, c.certain)
			if c.err == "" {
				if got.err != nil || contexts.Name(got.cli) != c.in {
					t.Errorf("got %+v, not %s", got, c.in)
				}
				return
			}
			if got.err == nil || !strings.Contains(got.err.Error(), c.err) {
				t.Errorf("error %v, not %s", got.err, c.err)
			}
		})
	}
}

func TestNamesThatWouldNotDoAloneAreOfferedWithTheirContext(t *testing.T) {
	running := func(names ...string) []session.Session {
		var list []session.Session
		for _, name := range names {
			list = append(list, session.Session{Name: name, Kind: session.Managed, State: session.Running})
		}
		return list
	}
	one := contexts.Answer[[]session.Session]{Context: &contexts.Context{Name: "one"}, Result: running("a", "both")}
	two := contexts.Answer[[]session.Session]{Context: &contexts.Context{Name: "two"}, Result: running("b", "both")}
	win := session.Session{Name: "win", SessionID: "0123456789abcdef", Kind: session.Server, State: session.External}
	third := contexts.Answer[[]session.Session]{Context: &contexts.Context{Name: "third"}, Result: append(running("c"), win)}
	fourth := contexts.Answer[[]session.Session]{Context: &contexts.Context{Name: "fourth"}, Result: []session.Session{win}}
	silent := contexts.Answer[[]session.Session]{Context: &contexts.Context{Name: "silent"}, Err: errors.New("no answer")}
	for name, c := range map[string]struct {
		answers []contexts.Answer[[]session.Session]
		verb    session.Verb
		except  []string
		qualify bool
		want    string
	}{
		"those of one context only are":     {[]contexts.Answer[[]session.Session]{one, two}, session.Stop, nil, false, "a one/both b two/both"},
		"what is there is left out":         {[]contexts.Answer[[]session.Session]{one, two}, session.Stop, []string{"a", "two/both"}, false, "one/both b"},
		"one that does not answer":          {[]contexts.Answer[[]session.Session]{one, silent}, session.Stop, nil, false, "one/a one/both"},
		"which does not matter for a look":  {[]contexts.Answer[[]session.Session]{one, silent}, session.View, nil, false, "a both"},
		"one of a server is in none":        {[]contexts.Answer[[]session.Session]{third, fourth}, session.Delete, nil, false, "c win"},
		"a context is typed":                {[]contexts.Answer[[]session.Session]{one}, session.Stop, nil, true, "one/a one/both"},
		"what the verb does not apply to":   {[]contexts.Answer[[]session.Session]{one, two}, session.Start, nil, false, ""},
		"nothing, where none has any there": {nil, session.Stop, nil, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := offer(c.answers, c.verb, c.except, c.qualify); !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("got %q, not %s", got, c.want)
			}
		})
	}
}

// forgetful is an engine with a session of another name, and records that cannot be
// read.
type forgetful struct{}

func (forgetful) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return []container.Summary{{ID: "1", Names: []string{"/other"}, State: container.StateRunning, Labels: map[string]string{session.LabelSession: "0123456789abcdef", session.LabelName: "other"}}}, nil
}

func (forgetful) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return nil, nil
}

func (forgetful) Records(context.Context, bool) ([]roster.Record, error) {
	return nil, errors.New("the helper is away")
}

func (forgetful) AtOnce() bool                             { return false }
func (forgetful) Missing(context.Context, []roster.Record) {}

func TestASessionMayBeWhereRecordsCannotBeRead(t *testing.T) {
	all, err := session.FindAll(t.Context(), forgetful{}, []string{"s"}, session.In(forgetful{}))
	if err != nil {
		t.Fatal(err)
	}
	asked := []string{"one", "two"}
	answers := []contexts.Answer[map[string]target]{answer("one", map[string]error{"s": nil}), answer("two", map[string]error{"s": all[0].Err})}
	got := choose("s", asked, answers, true)
	if want := `session "s" is in context "one", but context "two" cannot be asked and may have one too: say "one/s" to leave that out`; got.err == nil ||
		!strings.HasPrefix(got.err.Error(), want) || !strings.Contains(got.err.Error(), `context "two": `) || !strings.Contains(got.err.Error(), "the helper is away") {
		t.Errorf("to act on it: %v", got.err)
	}
	if got := choose("s", asked, answers, false); got.err != nil || contexts.Name(got.cli) != "one" {
		t.Errorf("to look at it: %+v", got)
	}
	if got := choose("one/s", asked, answers, true); got.err != nil {
		t.Errorf("with its context: %v", got.err)
	}
}

// engineOf is the docker CLI of an engine.
type engineOf struct {
	command.Cli
	client.APIClient
}

func (e *engineOf) Client() client.APIClient { return e }

func (*engineOf) VolumeList(context.Context, volume.ListOptions) (volume.ListResponse, error) {
	h := lock.Holder{Key: "busy", Generation: 1}
	return volume.ListResponse{Volumes: []*volume.Volume{{
		Name: h.Volume(), CreatedAt: time.Unix(1000, 0).Format(time.RFC3339),
		Labels: map[string]string{lock.Label: h.Key, lock.Label + ".owner": "ann@desk"},
	}}}, nil
}

func (*engineOf) Info(context.Context) (system.Info, error) {
	return system.Info{SystemTime: time.Unix(1001, 0).Format(time.RFC3339Nano)}, nil
}

func TestASnapshotThatBeganWhileTheUserWasAskedIsHeeded(t *testing.T) {
	cli := &engineOf{}
	gone := errors.New("no such session")
	f := found{targets: []target{
		{name: "one", cli: cli, session: session.Session{ID: "free", Name: "one"}},
		{name: "two", cli: cli, session: session.Session{ID: "busy", Name: "two"}},
		{name: "three", cli: cli, err: gone},
	}}
	if err := f.lookAgain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var acted []string
	var out strings.Builder
	err := do(t.Context(), printsTo(&out), f.targets, func(_ context.Context, _ command.Cli, s session.Session) error {
		acted = append(acted, s.Name)
		return nil
	})
	if !slices.Equal(acted, []string{"one"}) || out.String() != "one\n" || !errors.Is(err, gone) || !strings.Contains(err.Error(), `a snapshot of session "two" is under way, made by ann@desk`) {
		t.Errorf("acted on %q, printed %q: %v", acted, out.String(), err)
	}
}

type printer struct {
	command.Cli
	out *streams.Out
}

func printsTo(w io.Writer) command.Cli { return printer{out: streams.NewOut(w)} }

func (p printer) Out() *streams.Out { return p.out }
