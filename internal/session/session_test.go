package session

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
)

func TestStateFollowsTheEngineAndTheExitCode(t *testing.T) {
	for _, c := range []struct {
		engine, status string
		want           State
		code           int
	}{
		{"created", "Created", Created, 0},
		{"running", "Up 3 minutes (healthy)", Running, 0},
		{"restarting", "Restarting (1) 2 seconds ago", Running, 0},
		{"paused", "Up 3 minutes (Paused)", Paused, 0},
		{"exited", "Exited (0) 3 seconds ago", Stopped, 0},
		{"exited", "Exited (143) 3 seconds ago", Stopped, 143},
		{"exited", "Exited (137) 3 seconds ago", Stopped, 137},
		{"exited", "Exited (130) 3 seconds ago", Stopped, 130},
		{"exited", "Exited (3) About an hour ago", Failed, 3},
		{"exited", "Exited (139) 3 seconds ago", Failed, 139},
		{"removing", "Removal In Progress", Deleting, 0},
		{"dead", "Dead", Deleting, 0},
	} {
		got := Summary(container.Summary{State: c.engine, Status: c.status})
		if got.State != c.want || got.ExitCode != c.code {
			t.Errorf("%s, %q: got %s (%d), want %s (%d)", c.engine, c.status, got.State, got.ExitCode, c.want, c.code)
		}
	}
}

func TestMenuOfEachState(t *testing.T) {
	want := map[State][]Verb{
		Created:  {View, Logs, Start, Commit, Delete},
		Running:  {View, Open, Exec, Logs, Pause, Stop, Commit, Delete},
		Paused:   {View, Logs, Start, Stop, Commit, Delete},
		Stopped:  {View, Logs, Start, Commit, Delete},
		Failed:   {View, Logs, Start, Commit, Delete},
		Deleting: {View, Delete},
		External: {View, Open, Delete},
	}
	for _, s := range States() {
		for _, v := range Verbs() {
			err := Session{Name: "x", State: s}.Check(v)
			if allowed := slices.Contains(want[s], v); allowed != (err == nil) {
				t.Errorf("%s %s: %v", v, s, err)
			} else if err != nil && (!strings.Contains(err.Error(), string(s)) || !strings.Contains(err.Error(), "view")) {
				t.Errorf("%s %s: the refusal names neither state nor verbs: %v", v, s, err)
			}
		}
	}
	for state, hint := range map[State]string{Paused: "`docker kasm start x` resumes it", Stopped: "`docker kasm start x` starts it"} {
		for _, v := range []Verb{Open, Exec} {
			if err := (Session{Name: "x", State: state}).Check(v); !strings.HasSuffix(err.Error(), hint) {
				t.Errorf("%s %s: the refusal does not say %q: %v", v, state, hint, err)
			}
		}
	}
	if got := (State("melting")).Allowed(); !slices.Equal(got, []Verb{View}) {
		t.Errorf("a state of an engine to come allows %v", got)
	}
}

func TestDamagedLabelsHideNothing(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		want   Kind
	}{
		"all right":           {map[string]string{LabelSession: "0123456789abcdef", LabelExpires: "2026-11-23T20:00:00Z"}, Managed},
		"an unreadable time":  {map[string]string{LabelSession: "0123456789abcdef", LabelExpires: "soon"}, Managed},
		"no id":               {map[string]string{LabelSession: "", LabelWorkspace: "x"}, Plain},
		"an id of ours no":    {map[string]string{LabelSession: "../../etc"}, Plain},
		"damaged, Kasm image": {map[string]string{LabelSession: "?", labelKasmImage: "true"}, Image},
		"of a Kasm agent":     {map[string]string{labelAgent: "some-id", labelKasmImage: "true"}, Agent},
		"none":                {nil, Plain},
	} {
		t.Run(name, func(t *testing.T) {
			got := Summary(container.Summary{Names: []string{"/other/alias", "/x"}, Labels: c.labels})
			if got.Kind != c.want || got.Name != "x" {
				t.Errorf("got %s %q, want %s", got.Kind, got.Name, c.want)
			}
			if readable := name == "all right"; readable == got.Expires.IsZero() {
				t.Errorf("expires %s", got.Expires)
			}
		})
	}
}

func TestDisownTakesOnlyInheritedLabels(t *testing.T) {
	s := Summary(container.Summary{Labels: map[string]string{
		LabelSession: "0123456789abcdef", LabelWorkspace: "w", LabelScope: ScopeEngine, labelKasmImage: "true", "own": "1",
	}})
	s.disown(LabelSession)
	if s.Kind != Image || s.Workspace != "" || s.Scope != "" || s.Labels["own"] != "1" || s.Labels[LabelWorkspace] != "" {
		t.Errorf("got %+v", s)
	}
}

// inherited is an engine whose one container has all its labels of its image.
type inherited struct{ labels map[string]string }

func (i inherited) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return []container.Summary{{ID: "c", Names: []string{"/x"}, ImageID: "i", Labels: i.labels}}, nil
}

func (i inherited) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return []image.Summary{{ID: "i", Labels: i.labels}}, nil
}

func TestInheritedLabelsOfBothKindsMakeNoSession(t *testing.T) {
	api := inherited{map[string]string{LabelSession: "0123456789abcdef", LabelName: "old", labelAgent: "abc"}}
	for range 20 {
		list, err := List(t.Context(), api, ListOptions{All: true})
		if err != nil || len(list) != 0 {
			t.Fatalf("%+v, %v", list, err)
		}
	}
}

func TestAddress(t *testing.T) {
	ports := []container.Port{
		{PrivatePort: 80, Type: "tcp"}, {IP: "0.0.0.0", PrivatePort: 4901, PublicPort: 32767, Type: "tcp"},
		{IP: "0.0.0.0", PrivatePort: 6901, PublicPort: 32768, Type: "tcp"}, {IP: "127.0.0.1", PrivatePort: 22, PublicPort: 2222, Type: "tcp"},
	}
	for _, c := range []struct {
		open  string
		ports []container.Port
		want  string
	}{
		{"https://localhost:{6901}/?a={22}", ports, "https://localhost:32768/?a=2222"},
		{"https://localhost:{80}/", ports, ""},
		{"https://localhost:{99999}/", ports, ""},
		{"", ports, "https://localhost:32768/"},
		{"", ports[1:2], "localhost:32767"},
		{"", ports[3:], "127.0.0.1:2222"},
		{"", []container.Port{{IP: "::1", PrivatePort: 1, PublicPort: 2, Type: "tcp"}}, "[::1]:2"},
		{"", []container.Port{{IP: "::1", PrivatePort: 6901, PublicPort: 2, Type: "tcp"}}, "https://localhost:2/"},
		{"", []container.Port{{IP: "10.0.0.7", PrivatePort: 6901, PublicPort: 2, Type: "tcp"}}, "https://10.0.0.7:2/"},
		{"", []container.Port{{PrivatePort: 53, PublicPort: 53, Type: "udp"}}, ""},
		{"", nil, ""},
	} {
		if got := (Session{Open: c.open, Ports: c.ports}).Address(); got != c.want {
			t.Errorf("%q: got %q, want %q", c.open, got, c.want)
		}
	}
}

func TestPick(t *testing.T) {
	all := []Session{
		{ID: "aaa111", Name: "firefox-1", SessionID: "f00d", Kind: Managed},
		{ID: "aaa222", Name: "firefox-2", Kind: Managed},
		{ID: "bbb333", Name: "aaa", Kind: Managed},
		{ID: "ccc444", Name: "db", Kind: Plain},
	}
	for ref, want := range map[string]string{
		"firefox-1": "firefox-1", "/firefox-1": "firefox-1", "aaa1": "firefox-1", "f00d": "firefox-1", "f0": "firefox-1",
		"aaa": "aaa", // a name goes before a prefix
		"aa":  "not unique", "db": `container "db" is not a session`, "ccc": `container "ccc" is not a session`,
		"firefox": `did you mean "firefox-1" or "firefox-2"?`, "firefx-2": `did you mean "firefox-2"`, "zzz": "ls -a", "": "no session",
	} {
		s, err := pick(all, ref, false)
		got := s.Name
		if err != nil {
			got = err.Error() + err.Error() // saying it twice must not change it
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", ref, got, want)
		}
	}
}

func TestNamesOffersWhatAVerbAppliesTo(t *testing.T) {
	all := []Session{{Name: "a", State: Running}, {Name: "b", State: Paused}, {Name: "c", State: Stopped}, {Name: "d", State: Running}}
	if got := Names(all, Pause, []string{"d"}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("pause: %v", got)
	}
	if got := Names(all, Start, nil); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("start: %v", got)
	}
}

func TestLimitedTakesAllAndKeepsTheFirst(t *testing.T) {
	var l limited
	for range 100 {
		if n, err := l.Write(make([]byte, 1<<10)); n != 1<<10 || err != nil {
			t.Fatal(n, err)
		}
	}
	if l.buf.Len() != 64<<10 {
		t.Errorf("kept %d bytes", l.buf.Len())
	}
}
