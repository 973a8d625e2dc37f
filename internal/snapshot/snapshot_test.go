package snapshot

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/go-connections/nat"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestDropsAreWhatWasGivenAtRunTime(t *testing.T) {
	d := compare(
		envMap([]string{"PATH=/bin", "VNC_PW=hunter2", "TOKEN=secret", "EMPTY=", "LANG=de", "KEEP=mine"}),
		envMap([]string{"PATH=/bin", "VNC_PW=vncpassword", "LANG=en"}),
		[]string{"LANG", "KEEP"},
	)
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

func TestRewrittenHistoryHasAnEntryForEachLayer(t *testing.T) {
	layers := func(n int) image.InspectResponse {
		return image.InspectResponse{RootFS: image.RootFS{Layers: make([]string, n)}}
	}
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
		"a secret in it":  {1, []image.HistoryResponseItem{item("start --token hunter2", 5)}, []string{"docker kasm commit"}},
		"nothing at all":  {0, nil, nil},
		"only empty ones": {0, []image.HistoryResponseItem{item("CMD", 0)}, []string{"CMD -"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := &job{plan: &plan{env: drops{added: map[string]string{"TOKEN": "hunter2"}}}}
			var got []string
			for _, h := range j.rewriteHistory(layers(c.layers), c.items) {
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
