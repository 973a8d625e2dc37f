package change

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// session is a config such as a Kasm image has.
func session() container.Config {
	return container.Config{
		Env:          []string{"PATH=/bin", "HOME=/home/kasm-user", "VNC_PW=secret"},
		Cmd:          []string{"--wait"},
		Entrypoint:   []string{"/dockerstartup/start.sh"},
		WorkingDir:   "/home/kasm-user",
		User:         "1000",
		Labels:       map[string]string{"a": "1"},
		ExposedPorts: nat.PortSet{"6901/tcp": {}},
		Volumes:      map[string]struct{}{"/v": {}},
		OnBuild:      []string{"RUN a"},
	}
}

func TestApply(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want func(*container.Config)
	}{
		"quotes and escapes are taken off": {`ENV A=2 B="x y" C=z\ w`, func(c *container.Config) {
			c.Env = append(c.Env, "A=2", "B=x y", "C=z w")
		}},
		"the old form is one value": {"ENV A x y z", func(c *container.Config) { c.Env = append(c.Env, "A=x y z") }},
		"a variable expands from the session": {"LABEL x=$VNC_PW y=${NONE:-d} z=$NONE", func(c *container.Config) {
			c.Labels = map[string]string{"a": "1", "x": "secret", "y": "d", "z": ""}
		}},
		"single quotes and a backslash keep the dollar": {`ENV A='$HOME' B=\$HOME`, func(c *container.Config) {
			c.Env = append(c.Env, "A=$HOME", "B=$HOME")
		}},
		"ENV replaces in place": {"ENV HOME=/x", func(c *container.Config) { c.Env[1] = "HOME=/x" }},
		"a variable set before is seen, one beside is not": {"ENV A=1 B=$A\nENV C=$A", func(c *container.Config) {
			c.Env = append(c.Env, "A=1", "B=", "C=1")
		}},
		"names differ in case": {"ENV home=/x", func(c *container.Config) { c.Env = append(c.Env, "home=/x") }},
		"LABEL replaces": {`LABEL a=2 "b c"=d`, func(c *container.Config) {
			c.Labels = map[string]string{"a": "2", "b c": "d"}
		}},
		"CMD as JSON expands nothing": {`CMD ["echo","$HOME"]`, func(c *container.Config) { c.Cmd = []string{"echo", "$HOME"} }},
		"CMD for the shell":           {"CMD echo  $HOME 'x'", func(c *container.Config) { c.Cmd = []string{"/bin/sh", "-c", "echo  $HOME 'x'"} }},
		"CMD [] empties":              {"CMD []", func(c *container.Config) { c.Cmd = []string{} }},
		"ENTRYPOINT drops the command": {`ENTRYPOINT ["/e"]`, func(c *container.Config) {
			c.Entrypoint, c.Cmd = []string{"/e"}, nil
		}},
		"ENTRYPOINT keeps a CMD before it": {"CMD [\"x\"]\nENTRYPOINT /e y", func(c *container.Config) {
			c.Entrypoint, c.Cmd = []string{"/bin/sh", "-c", "/e y"}, []string{"x"}
		}},
		"ENTRYPOINT keeps a CMD after it": {"ENTRYPOINT [\"/e\"]\nCMD [\"x\"]", func(c *container.Config) {
			c.Entrypoint, c.Cmd = []string{"/e"}, []string{"x"}
		}},
		"CMD [] does not count before ENTRYPOINT": {"CMD []\nENTRYPOINT [\"/e\"]", func(c *container.Config) {
			c.Entrypoint, c.Cmd = []string{"/e"}, nil
		}},
		"EXPOSE adds, with the protocol in lower case": {"EXPOSE 80 5000-5001/UDP", func(c *container.Config) {
			c.ExposedPorts = nat.PortSet{"6901/tcp": {}, "80/tcp": {}, "5000/udp": {}, "5001/udp": {}}
		}},
		"a variable may hold several ports": {"ENV P=\"80 443\"\nEXPOSE $P", func(c *container.Config) {
			c.Env = append(c.Env, "P=80 443")
			c.ExposedPorts = nat.PortSet{"6901/tcp": {}, "80/tcp": {}, "443/tcp": {}}
		}},
		"ONBUILD is appended as it stands": {"onbuild run echo $HOME", func(c *container.Config) {
			c.OnBuild = []string{"RUN a", "run echo $HOME"}
		}},
		"USER expands": {"USER $VNC_PW:0", func(c *container.Config) { c.User = "secret:0" }},
		"VOLUME adds": {"VOLUME /a $HOME/b", func(c *container.Config) {
			c.Volumes = map[string]struct{}{"/v": {}, "/a": {}, "/home/kasm-user/b": {}}
		}},
		"VOLUME as JSON": {`VOLUME ["/a b"]`, func(c *container.Config) {
			c.Volumes = map[string]struct{}{"/v": {}, "/a b": {}}
		}},
		"a relative WORKDIR is joined": {"WORKDIR a/../b\nWORKDIR c", func(c *container.Config) { c.WorkingDir = "/home/kasm-user/b/c" }},
		"an absolute WORKDIR is cleaned": {"WORKDIR /a//b/", func(c *container.Config) {
			c.WorkingDir = "/a/b"
		}},
		"a WORKDIR does not leave the root": {"WORKDIR ../../../..", func(c *container.Config) { c.WorkingDir = "/" }},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Parse("--change", tc.text)
			if err != nil {
				t.Fatal(err)
			}
			before, want := session(), session()
			tc.want(&want)
			got, err := set.Apply(before)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %s\nwant %s", show(t, got), show(t, want))
			}
			if !reflect.DeepEqual(before, session()) {
				t.Errorf("the config given was altered: %s", show(t, before))
			}
		})
	}
}

func show(t *testing.T, cfg container.Config) string {
	t.Helper()
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestApplyUsesTheShellOfTheImage(t *testing.T) {
	set, err := Parse("--change", "CMD ls")
	if err != nil {
		t.Fatal(err)
	}
	got, err := set.Apply(container.Config{Shell: []string{"/bin/bash", "-ec"}, ArgsEscaped: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/bin/bash", "-ec", "ls"}; !reflect.DeepEqual([]string(got.Cmd), want) || got.ArgsEscaped {
		t.Errorf("got %q, %v", got.Cmd, got.ArgsEscaped)
	}
}

func TestApplyOfNothingChangesNothing(t *testing.T) {
	got, err := Set(nil).Apply(session())
	if err != nil || !reflect.DeepEqual(got, session()) {
		t.Errorf("got %s, %v", show(t, got), err)
	}
}

func TestApplyRefusesWhatVariablesMakeBad(t *testing.T) {
	for text, want := range map[string]string{
		"USER $NONE":             "--change: USER $NONE: the user is empty",
		"WORKDIR $NONE":          "a path is empty",
		"VOLUME $NONE":           "a path is empty",
		"EXPOSE $HOME":           "is not a port",
		"LABEL a=${NONE:?which}": "NONE: which",
	} {
		set, err := Parse("--change", text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := set.Apply(session()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s, %v, want an error with %q", text, show(t, got), err, want)
		}
	}
}
