package snapshot

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/go-connections/nat"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestDropsAreWhatWasGivenAtRunTime(t *testing.T) {
	d, err := compare(
		envMap([]string{"PATH=/bin", "VNC_PW=hunter2", "TOKEN=secret", "EMPTY=", "LANG=de", "KEEP=mine"}),
		envMap([]string{"PATH=/bin", "VNC_PW=vncpassword", "LANG=en"}),
		[]string{"LANG", "KEEP"}, nil,
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.names(); !slices.Equal(got, []string{"EMPTY", "TOKEN"}) {
		t.Errorf("added %v", got)
	}
	for _, name := range []string{"VNC_PW", "LANG", "KEEP"} {
		if _, ok := d.changed[name]; !ok {
			t.Errorf("%s is not among the changed", name)
		}
	}
	env := d.environment([]string{"PATH=/bin", "VNC_PW=vncpassword", "LANG=en"})
	if want := []string{"PATH=/bin", "VNC_PW=vncpassword", "LANG=en", "EMPTY=", "TOKEN="}; !slices.Equal(env, want) {
		t.Errorf("the commit begins with %v, not %v", env, want)
	}
	if got := d.withoutBlank(append(env, "TOKEN=set by a change")); !slices.Equal(got, []string{"PATH=/bin", "VNC_PW=vncpassword", "LANG=en", "TOKEN=set by a change"}) {
		t.Errorf("cleaned to %v", got)
	}
}

func TestNotesAreReadAsTheyWereWritten(t *testing.T) {
	for text, n := range map[string]note{
		"running":                     {state: session.Running},
		"running pausing within=2m0s": {state: session.Running, pausing: true, within: within(2400_000_000)},
		"paused committing":           {state: session.Paused, committing: true, within: within(19_000_000)},
		"running committing holding within=1h23m20s": {state: session.Running, committing: true, holding: true, within: within(100_000_000_000)},
	} {
		if got := n.String(); got != text {
			t.Errorf("%+v is written %q, not %q", n, got, text)
		}
		if got := parseNote(text); got != n {
			t.Errorf("%q is read as %+v, not %+v", text, got, n)
		}
	}
	if got := parseNote("stopped of-a-later-version holding"); got != (note{state: session.Stopped, holding: true}) {
		t.Errorf("got %+v", got)
	}
}

func TestFoundInLooksForValuesNotForShortOnes(t *testing.T) {
	d := drops{added: map[string]string{"TOKEN": "secret", "N": "1"}, changed: map[string]string{"VNC_PW": "hunter2"}}
	if got := d.foundIn([]string{"run --token=secret 1", "pw hunter2"}); !slices.Equal(got, []string{"TOKEN", "VNC_PW"}) {
		t.Errorf("got %v", got)
	}
}

func TestCompareConfigNamesEachDifference(t *testing.T) {
	want := container.Config{
		Env: []string{"A=1", "S=hunter2"}, Labels: map[string]string{"l": "1"}, Cmd: []string{"sh"}, User: "demo", WorkingDir: "/w",
		ExposedPorts: nat.PortSet{"80/tcp": {}}, Volumes: map[string]struct{}{"/v": {}},
	}
	if diff := compareConfig(want, want); diff != nil {
		t.Errorf("a configuration differs from itself: %v", diff)
	}
	more := want
	more.ExposedPorts = nat.PortSet{"80/tcp": {}, "81/tcp": {}}
	more.WorkingDir = "/w/"
	if diff := compareConfig(want, more); diff != nil {
		t.Errorf("what engines may add is a difference: %v", diff)
	}
	got := container.Config{Env: []string{"S=correcthorse", "X=1"}, Entrypoint: []string{"e"}}
	var text strings.Builder
	for _, err := range compareConfig(want, got) {
		text.WriteString(err.Error() + "\n")
	}
	for _, part := range []string{
		"environment variable A is missing", "environment variable S has another value", "environment variable X should not be there",
		"label l is missing", "CMD is", "ENTRYPOINT is", "USER is", "WORKDIR is", "port 80/tcp is not exposed", "volume /v is not declared",
	} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is not among:\n%s", part, text.String())
		}
	}
	if strings.Contains(text.String(), "hunter2") || strings.Contains(text.String(), "correcthorse") {
		t.Errorf("a value of the environment is in:\n%s", text.String())
	}
}

func TestKeptNamesStayWithTheirValues(t *testing.T) {
	given := map[string]string{"PATH": "/bin", "TZ": "Europe/Berlin", "LANG": "de", "TOKEN": "secret", session.LabelSession: "0123456789abcdef"}
	parent := map[string]string{"PATH": "/bin", "LANG": "en"}
	for _, c := range []struct {
		keep []string
		want []string
	}{
		{nil, []string{"LANG=en", "PATH=/bin", "TOKEN=", "TZ=", session.LabelSession + "="}},
		{[]string{"TZ", "LANG"}, []string{"PATH=/bin", "LANG=de", "TZ=Europe/Berlin", "TOKEN=", session.LabelSession + "="}},
		{[]string{"*"}, []string{"PATH=/bin", "LANG=de", "TOKEN=secret", "TZ=Europe/Berlin", session.LabelSession + "="}},
	} {
		d, err := compare(given, parent, nil, c.keep)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.environment([]string{"LANG=en", "PATH=/bin"}); !slices.Equal(got, c.want) {
			t.Errorf("keeping %v: %v, not %v", c.keep, got, c.want)
		}
		if got, want := d.labels(parent), envMap(c.want); !maps.Equal(got, want) {
			t.Errorf("keeping %v: labels %v, not %v", c.keep, got, want)
		}
	}
	for _, name := range []string{"NEVER_GIVEN", "PATH", session.LabelSession} {
		if _, err := compare(given, parent, nil, []string{name}); err == nil {
			t.Errorf("%s was kept", name)
		}
	}
}

func TestImageConfigKeepsWhatItDoesNotKnow(t *testing.T) {
	const data = `{"architecture":"amd64","os":"linux","x-own":[1],"config":{"Env":["A=1"],"Volumes":{"/v":{}},"X-Other":{"a":1}},` +
		`"rootfs":{"type":"layers","diff_ids":["sha256:01","sha256:02"]},"history":[{"created":"2026-01-02T03:04:05.678901234Z","created_by":"x"},{"empty_layer":true}]}`
	c, err := parseConfig([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	same := func(c *imageConfig, want string) {
		t.Helper()
		got, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal([]byte(want), &b)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("got %s\nnot %s", got, want)
		}
	}
	same(c, data)
	same(c.without("Volumes"), strings.Replace(data, `"Volumes":{"/v":{}},`, "", 1))
	same(c, data)
	if err := errors.Join(setConfig(c, "Env", []string{"B=2"}, 1), setConfig(c, "Volumes", nil, 0), setRoot(c, "os", "windows"), setRoot(c, "author", "")); err != nil {
		t.Fatal(err)
	}
	same(c, strings.NewReplacer(`"Volumes":{"/v":{}},`, "", "A=1", "B=2", `"linux"`, `"windows"`).Replace(data))
}

func TestDescribedHistoryHasAnEntryForEachLayer(t *testing.T) {
	item := func(by string, size int64) image.HistoryResponseItem {
		return image.HistoryResponseItem{CreatedBy: by, Size: size}
	}
	for name, c := range map[string]struct {
		layers int
		items  []image.HistoryResponseItem
		want   []string
	}{
		"sizes tell": {2, []image.HistoryResponseItem{item("work", 5), item("ENV A=1", 0), item("base", 9)}, []string{"base", "ENV A=1 -", "work"}},
		"every entry has a layer, one of no size": {2, []image.HistoryResponseItem{item("work", 0), item("base", 9)}, []string{"base", "work"}},
		"not to be told":  {2, []image.HistoryResponseItem{item("work", 0), item("ENV A=1", 0), item("base", 9)}, []string{"", ""}},
		"no history":      {1, nil, []string{""}},
		"nothing at all":  {0, nil, nil},
		"only empty ones": {0, []image.HistoryResponseItem{item("CMD", 0)}, []string{"CMD -"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, h := range describedHistory(c.layers, c.items, "") {
				text := h.CreatedBy
				if h.EmptyLayer {
					text += " -"
				}
				got = append(got, text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestASnapshotOfASnapshotIsNamedAfterTheFirst(t *testing.T) {
	snap := &workspace.Snapshot{}
	for _, c := range []struct {
		ws   workspace.Workspace
		want string
	}{
		{workspace.Workspace{Name: "ff"}, "ff"},
		{workspace.Workspace{FriendlyName: "Firefox"}, "Firefox"},
		{workspace.Workspace{FriendlyName: "Snapshot of Firefox - (v1)", Snapshot: snap}, "Firefox"},
		{workspace.Workspace{FriendlyName: "Snapshot of Firefox (beta) - (v1)", Snapshot: snap}, "Firefox (beta)"},
		{workspace.Workspace{FriendlyName: "Snapshot of Firefox - (v1)"}, "Snapshot of Firefox - (v1)"},
		{workspace.Workspace{FriendlyName: "My own", Snapshot: snap}, "My own"},
	} {
		if got := plainName(&c.ws); got != c.want {
			t.Errorf("%q: got %q, want %q", c.ws.FriendlyName, got, c.want)
		}
	}
}
