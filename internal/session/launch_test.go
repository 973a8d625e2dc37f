package session

import (
	"slices"
	"testing"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestKasmImagesGetATmpfsUnlessTheWorkspaceSpeaksOfTmp(t *testing.T) {
	const added = "/tmp:mode=1777,exec"
	kasm := map[string]string{labelKasmImage: "true"}
	for name, c := range map[string]struct {
		run    workspace.Run
		labels map[string]string
		want   []string
	}{
		"nothing said":           {workspace.Run{}, kasm, []string{added}},
		"no Kasm image":          {workspace.Run{}, map[string]string{labelKasmImage: "false"}, nil},
		"no labels":              {workspace.Run{}, nil, nil},
		"another tmpfs":          {workspace.Run{Tmpfs: []string{"/scratch"}}, kasm, []string{"/scratch", added}},
		"none at all":            {workspace.Run{Tmpfs: []string{}}, kasm, []string{}},
		"its own":                {workspace.Run{Tmpfs: []string{"/tmp"}}, kasm, []string{"/tmp"}},
		"its own, with options":  {workspace.Run{Tmpfs: []string{"/tmp/:size=1m"}}, kasm, []string{"/tmp/:size=1m"}},
		"a named volume":         {workspace.Run{Volumes: []string{"scratch:/tmp"}}, kasm, nil},
		"a bind":                 {workspace.Run{Volumes: []string{"/srv/tmp:/tmp/:ro"}}, kasm, nil},
		"a bind from a drive":    {workspace.Run{Volumes: []string{`C:\tmp:/tmp`}}, kasm, nil},
		"an anonymous volume":    {workspace.Run{Volumes: []string{"/tmp"}}, kasm, nil},
		"a bind of the host's":   {workspace.Run{Volumes: []string{"/tmp:/host-tmp"}}, kasm, []string{added}},
		"a volume further below": {workspace.Run{Volumes: []string{"x:/tmp/.X11-unix"}}, kasm, []string{added}},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.run.Tmpfs)
			got := WithTmp(c.run, c.labels)
			if !slices.Equal(got.Tmpfs, c.want) || (got.Tmpfs == nil) != (c.want == nil) {
				t.Errorf("got %q, want %q", got.Tmpfs, c.want)
			}
			if again := WithTmp(got, c.labels); !slices.Equal(again.Tmpfs, got.Tmpfs) {
				t.Errorf("a second time gives %q", again.Tmpfs)
			}
			if !slices.Equal(c.run.Tmpfs, before) {
				t.Errorf("the workspace's own list became %q", c.run.Tmpfs)
			}
		})
	}
}
