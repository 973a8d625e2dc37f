package session

import (
	"maps"
	"slices"
	"testing"

	"github.com/docker/go-connections/nat"

	"github.com/docker-kasm/docker-kasm/internal/runspec"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestOverridesReplaceWhatIsAboutTheSameThing(t *testing.T) {
	run := func(r workspace.Run) *workspace.Workspace { return &workspace.Workspace{Run: r} }
	limit := func(r workspace.Resources) *workspace.Workspace { return &workspace.Workspace{Resources: r} }
	volumes := func(w *workspace.Workspace, _ []string) []string { return w.Run.Volumes }
	tmpfs := func(w *workspace.Workspace, _ []string) []string { return w.Run.Tmpfs }
	ports := func(w *workspace.Workspace, _ []string) []string { return w.Run.Ports }
	networks := func(w *workspace.Workspace, _ []string) []string { return w.Run.Networks }
	ulimits := func(w *workspace.Workspace, _ []string) []string { return w.Resources.Ulimits }
	env := func(_ *workspace.Workspace, env []string) []string { return env }
	sizes := func(w *workspace.Workspace, _ []string) []string {
		return []string{w.Resources.CPUsText(), w.Resources.Memory, w.Resources.ShmSize, w.Resources.GPUs}
	}
	text := func(s string) *string { return &s }
	all := workspace.Resources{CPUs: 2, Memory: "2g", ShmSize: "1g", GPUs: "all"}
	for name, c := range map[string]struct {
		ws   *workspace.Workspace
		o    Overrides
		get  func(*workspace.Workspace, []string) []string
		want []string
	}{
		"variables of the same name": {
			run(workspace.Run{Environment: map[string]string{"B": "1", "A": "1"}}),
			Overrides{Env: []string{"C=1", "A=2", "C=2", "D"}},
			env, []string{"B=1", "A=2", "C=2", "D"},
		},
		"a port": {
			run(workspace.Run{Ports: []string{"127.0.0.1::6901", "4901"}}), Overrides{Ports: []string{"8443:6901", "80"}},
			ports, []string{"4901", "8443:6901", "80"},
		},
		"a port of another protocol stays": {
			run(workspace.Run{Ports: []string{"53:53/udp"}}), Overrides{Ports: []string{"53:53"}},
			ports, []string{"53:53/udp", "53:53"},
		},
		"a port out of a range": {
			run(workspace.Run{Ports: []string{"[::1]:1000-1002:2000-2002"}}), Overrides{Ports: []string{"target=2001"}},
			ports, []string{"[::1]:1000:2000/tcp", "[::1]:1002:2002/tcp", "target=2001"},
		},
		"a volume at the same path": {
			run(workspace.Run{Volumes: []string{"home:/root", "/srv:/data/:ro", "/scratch"}}), Overrides{Volumes: []string{"other:/data", "/more"}},
			volumes, []string{"home:/root", "/scratch", "other:/data", "/more"},
		},
		"a tmpfs at the same path": {
			run(workspace.Run{Tmpfs: []string{"/a:size=1m", "/b"}}), Overrides{Volumes: []string{"x:/a"}},
			tmpfs, []string{"/b"},
		},
		"networks, all of them":  {run(workspace.Run{Networks: []string{"a", "b"}}), Overrides{Networks: []string{"host"}}, networks, []string{"host"}},
		"networks, not given":    {run(workspace.Run{Networks: []string{"a", "b"}}), Overrides{}, networks, []string{"a", "b"}},
		"ulimits":                {limit(workspace.Resources{Ulimits: []string{"nofile=1", "core=0"}}), Overrides{Ulimits: []string{"nofile=2:3"}}, ulimits, []string{"core=0", "nofile=2:3"}},
		"resources":              {limit(all), Overrides{CPUs: text("0.5"), Memory: text("1g"), ShmSize: text("64m"), GPUs: text("device=1")}, sizes, []string{"0.5", "1g", "64m", "device=1"}},
		"resources, none at all": {limit(all), Overrides{CPUs: text("0"), Memory: text("0"), ShmSize: text("0"), GPUs: text("")}, sizes, []string{"0", "0", "0", ""}},
		"resources, not given":   {limit(all), Overrides{}, sizes, []string{"2", "2g", "1g", "all"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := *c.ws
			before.Run.Environment, before.Run.Tmpfs, before.Run.Volumes = maps.Clone(c.ws.Run.Environment), slices.Clone(c.ws.Run.Tmpfs), slices.Clone(c.ws.Run.Volumes)
			ws, env, err := c.o.apply(c.ws)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.get(ws, env); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if _, err := newPlan(ws); err != nil {
				t.Errorf("what comes out is no settings of a container: %v", err)
			}
			if !maps.Equal(before.Run.Environment, c.ws.Run.Environment) || !slices.Equal(before.Run.Tmpfs, c.ws.Run.Tmpfs) || !slices.Equal(before.Run.Volumes, c.ws.Run.Volumes) {
				t.Errorf("the workspace itself became %+v", c.ws.Run)
			}
		})
	}
}

// A list of tmpfs that is empty says that /tmp gets none; one that a volume has
// emptied does not.
func TestAVolumeInPlaceOfATmpfsSaysNothingAboutTmp(t *testing.T) {
	kasm := map[string]string{labelKasmImage: "true"}
	ws, _, err := Overrides{Volumes: []string{"x:/a"}}.apply(&workspace.Workspace{Run: workspace.Run{Tmpfs: []string{"/a"}}})
	if got := WithTmp(ws.Run, kasm).Tmpfs; err != nil || len(got) != 1 {
		t.Errorf("tmpfs are %q, %v", got, err)
	}
	ws, _, err = Overrides{Volumes: []string{"x:/a"}}.apply(&workspace.Workspace{Run: workspace.Run{Tmpfs: []string{}}})
	if got := WithTmp(ws.Run, kasm).Tmpfs; err != nil || len(got) != 0 {
		t.Errorf("tmpfs are %q, %v", got, err)
	}
}

func TestRemoveIsTheWorkspacesUnlessGiven(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		file  bool
		given *bool
		want  bool
	}{{false, nil, false}, {true, nil, true}, {true, &no, false}, {false, &yes, true}} {
		ws, _, err := Overrides{Remove: c.given}.apply(&workspace.Workspace{Run: workspace.Run{Remove: c.file}})
		if err != nil || ws.Run.Remove != c.want {
			t.Errorf("%v and %v give %v, %v", c.file, c.given, ws.Run.Remove, err)
		}
	}
}

func TestEachPublishedPortOfARangeKeepsItsHostPort(t *testing.T) {
	ws, _, err := Overrides{Ports: []string{"9:2001"}}.apply(&workspace.Workspace{Run: workspace.Run{Ports: []string{"1000-1002:2000-2002/udp", "1000-1002:2000-2002"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := runspec.Ports(ws.Run.Ports)
	if err != nil {
		t.Fatal(err)
	}
	for port, host := range map[nat.Port]string{"2000/tcp": "1000", "2001/tcp": "9", "2002/tcp": "1002", "2000/udp": "1000", "2001/udp": "1001", "2002/udp": "1002"} {
		if len(got[port]) != 1 || got[port][0].HostPort != host {
			t.Errorf("%s is published on %v, not on %s", port, got[port], host)
		}
	}
}
