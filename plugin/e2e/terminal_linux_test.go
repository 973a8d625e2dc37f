package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// recording is a command, and what it prints, as people see it.
type recording struct {
	name string
	args []string
}

// pushed are the lines of a push's layers: which ones there are, and what becomes
// of them, is the engine's and the registry's.
var pushed = regexp.MustCompile(`(?m)(^ID: .*\n)+^first: digest: SHA256 size: \d+\n`)

// TestTerminal compares what people see of the commands that they use most with
// testdata/terminal: on terminals of 80 and of 200 columns, with colours and
// without, and where there is no terminal. UPDATE=1 writes those files anew.
func TestTerminal(t *testing.T) {
	s := newSuite(t)
	registry := os.Getenv("KASM_TEST_OPEN_REGISTRY")
	if registry == "" {
		t.Skip("no registry to push to: run `make test`")
	}
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("no tmux: run `make test`")
	}
	u := s.user(t)
	for i, v := range []struct {
		name          string
		width, height int
		env           []string
	}{
		{name: "80", width: 80, height: 40},
		{name: "80-nocolor", width: 80, height: 40, env: []string{"NO_COLOR=1"}},
		{name: "200", width: 200, height: 40},
		{name: "200-nocolor", width: 200, height: 40, env: []string{"NO_COLOR=1"}},
		{name: "none"},
	} {
		t.Run(v.name, func(t *testing.T) {
			ws := fmt.Sprintf("e2eterminal%d", i)
			image := registry + "/" + ws + ":first"
			t.Cleanup(func() { cleanUp(ws) })
			if out, err := u.kasm("workspace", "create", "--image", baseImage, "--friendly-name", "Desktop", "--set", `run.ports=["127.0.0.1::6901"]`,
				"--set", "run.open=https://localhost:{6901}/", ws); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, r := range []recording{
				{"run", []string{"run", "--name", ws + ".work", ws}},
				{"ls", []string{"ls", "--filter", "workspace=" + ws}},
				{"inspect", []string{"inspect", ws + ".work"}},
				{"commit", []string{"commit", "--push", "--change", "ENV GREETING=hello", ws + ".work", image}},
				{"refused", []string{"start", ws + ".work"}},
			} {
				if r.name == "inspect" {
					s.ready(t, ws+".work") // its processes are counted
				}
				var got string
				if v.width == 0 {
					got = u.plainly(t, r.args)
				} else {
					got = u.onTerminal(t, v.width, v.height, v.env, r.args)
				}
				got = pushed.ReplaceAllString(mask(got, ws, "N", registry, "REGISTRY"), "LAYERS\n")
				golden(t, filepath.Join("testdata", "terminal", r.name+"."+v.name), got)
			}
		})
	}
}

// plainly runs a command and returns its stdout and its stderr, each under a line
// that says which it is.
func (u user) plainly(t *testing.T, args []string) string {
	t.Helper()
	cmd := command("docker", append([]string{"kasm"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = u.env, &stdout, &stderr
	_ = cmd.Run()
	return fmt.Sprintf("status %d\n-- stdout\n%s-- stderr\n%s", cmd.ProcessState.ExitCode(), &stdout, &stderr)
}

// onTerminal runs a command on a terminal of that size and returns the screen that
// it leaves, colours as escape sequences, lines that were too long in one.
func (u user) onTerminal(t *testing.T, width, height int, env, args []string) string {
	t.Helper()
	dir := t.TempDir()
	tmux := func(args ...string) string {
		t.Helper()
		cmd := command("tmux", append([]string{"-S", filepath.Join(dir, "socket"), "-f", filepath.Join(dir, "config")}, args...)...)
		// The server, and so the command, has the environment of the first call.
		cmd.Env = append(append(u.env, "TERM=xterm-256color", "SHELL=/bin/sh", "TMUX="), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %s: %v\n%s", args[0], err, out)
		}
		return string(out)
	}
	// A title is told of in order: all that was written before is drawn by then.
	config := "set -g status off\nset-hook -g pane-title-changed 'wait-for -S ended'\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `docker kasm "$@"; printf '\033]2;status %d\007' $?; exec cat >/dev/null`
	tmux(append([]string{"new-session", "-d", "-s", "screen", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "sh", "-c", script, "sh"}, args...)...)
	t.Cleanup(func() { tmux("kill-server") })
	tmux("wait-for", "ended")
	status := tmux("display-message", "-p", "-t", "screen", "#{pane_title}")
	return status + strings.TrimRight(tmux("capture-pane", "-p", "-e", "-J", "-t", "screen"), "\n") + "\n"
}

// golden compares got with a file, or with UPDATE=1 writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (UPDATE=1 writes it anew): got\n%s\nwant\n%s", path, got, want)
	}
}
