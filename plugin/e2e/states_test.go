package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// user is a person with a docker configuration of their own.
type user struct {
	env []string
	// config is the folder of that configuration.
	config string
}

func (s suite) user(t *testing.T) user {
	t.Helper()
	config := t.TempDir()
	if err := os.Mkdir(filepath.Join(config, "cli-plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.plugin, filepath.Join(config, "cli-plugins", "docker-kasm")); err != nil {
		t.Fatal(err)
	}
	return user{env: append(os.Environ(), "DOCKER_CONFIG="+config, "DOCKER_HOST="+s.host), config: config}
}

func (u user) kasm(args ...string) (string, error) {
	cmd := command("docker", append([]string{"kasm"}, args...)...)
	cmd.Env = u.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// managed are the options that make a container of that name a session.
func managed(name string) []string {
	return []string{
		"--name", name, "--label", session.LabelSession + "=0123456789abcdef", "--label", session.LabelName + "=" + name,
		"--label", session.LabelWorkspace + "=states",
	}
}

// TestEveryVerbInEveryState tries all of the menu on a real session in each
// state that an engine can be brought into at will.
func TestEveryVerbInEveryState(t *testing.T) {
	s := newSuite(t)
	u := s.user(t)
	t.Cleanup(func() { cleanUp("e2estates") })
	reach := map[session.State]func(t *testing.T, name string){
		session.Created: func(t *testing.T, name string) {
			t.Helper()
			s.docker(t, append(append([]string{"create"}, managed(name)...), baseImage)...)
		},
		session.Running: func(t *testing.T, name string) {
			t.Helper()
			s.docker(t, append(append([]string{"run", "-d"}, managed(name)...), baseImage)...)
			s.ready(t, name)
		},
		session.Paused: func(t *testing.T, name string) {
			t.Helper()
			s.docker(t, append(append([]string{"run", "-d"}, managed(name)...), baseImage)...)
			s.ready(t, name)
			s.docker(t, "pause", name)
		},
		session.Stopped: func(t *testing.T, name string) {
			t.Helper()
			s.docker(t, append(append([]string{"run", "-d"}, managed(name)...), baseImage, "true")...)
			s.ended(t, name)
		},
		session.Failed: func(t *testing.T, name string) {
			t.Helper()
			s.docker(t, append(append([]string{"run", "-d"}, managed(name)...), baseImage, "sh", "-c", "exit 3")...)
			s.ended(t, name)
		},
	}
	// after is the state each verb leads to, where it is allowed.
	after := map[session.Verb]func(session.State) session.State{
		session.View:   func(s session.State) session.State { return s },
		session.Open:   func(s session.State) session.State { return s },
		session.Exec:   func(s session.State) session.State { return s },
		session.Logs:   func(s session.State) session.State { return s },
		session.Commit: func(s session.State) session.State { return s },
		session.Pause:  func(session.State) session.State { return session.Paused },
		session.Stop:   func(session.State) session.State { return session.Stopped },
		session.Delete: func(session.State) session.State { return "gone" },
		session.Start: func(s session.State) session.State {
			// A session that failed, or was told to do nothing, does so again.
			if s == session.Stopped || s == session.Failed {
				return s
			}
			return session.Running
		},
	}
	command := map[session.Verb][]string{
		session.View: {"view"}, session.Open: {"open"}, session.Exec: {"exec"}, session.Logs: {"logs"}, session.Start: {"start"}, session.Pause: {"pause"}, session.Stop: {"stop"},
		session.Commit: {"commit", "--no-register", "-q"}, session.Delete: {"rm", "-f"},
	}
	for state, bring := range reach {
		for _, verb := range session.Verbs() {
			if verb == session.Open && state == session.Running {
				continue // does not end: see TestOpen
			}
			t.Run(fmt.Sprintf("%s %s", verb, state), func(t *testing.T) {
				t.Parallel()
				name := fmt.Sprintf("e2estates.%s.%s", state, verb)
				bring(t, name)
				args := append(append([]string{}, command[verb]...), name)
				if verb == session.Exec {
					args = append(args, "true")
				}
				if verb == session.Commit {
					args = append(args, "e2estates-"+string(state)+":v1")
				}
				out, err := u.kasm(args...)
				allowed := (session.Session{State: state}).Check(verb) == nil
				if allowed != (err == nil) {
					t.Fatalf("allowed: %v, but %v: %s", allowed, err, out)
				}
				want := state
				if allowed {
					want = after[verb](state)
				} else if !regexp.MustCompile(fmt.Sprintf("cannot (%s|run a command in) session %q: it is %s; what can be done now: view", verb, name, state)).MatchString(out) {
					t.Errorf("the refusal says neither state nor what would work: %s", out)
				}
				if verb == session.Start && allowed && want != session.Running {
					s.ended(t, name)
				}
				got, _ := u.kasm("ls", "-a", "--filter", "name="+name, "--format", "{{.State}}")
				if got = strings.TrimSpace(got); got == "" {
					got = "gone"
				}
				if got != string(want) {
					t.Errorf("is %s afterwards, not %s", got, want)
				}
			})
		}
	}
}
