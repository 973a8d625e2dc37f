package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestInterrupt sends SIGINT when a step begins, and looks at what is left:
// the session as it was, no temporary image, no name that was not reported.
func TestInterrupt(t *testing.T) {
	s := newSuite(t)
	t.Cleanup(func() { cleanUp("e2einterrupt") })
	name := "e2einterrupt.work"
	s.docker(t, append(append([]string{"run", "-d", "-v", "e2einterrupt.data:/data"}, managed(name)...), baseImage)...)
	// Enough to write that the commit is still under way when the signal comes.
	s.docker(t, "exec", name, "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=60")
	for _, state := range []string{"running", "paused"} {
		if state == "paused" {
			s.docker(t, "pause", name)
		}
		for _, at := range []struct{ name, event string }{
			{"plan", started("plan")},
			{"preflight", started("preflight")},
			{"lock", started("lock")},
			{"commit", started("commit")},
			{"layers", `"Message":"brought in: the content of /data`},
			{"clean", started("clean")},
			{"verify", started("verify")},
		} {
			t.Run(fmt.Sprintf("in %s while %s", at.name, state), func(t *testing.T) {
				ref := "e2einterrupt:" + state + "-" + at.name
				before := s.untagged(t)
				out, err := interrupted(s, t, at.event, name, ref)
				var exit *exec.ExitError
				// The signal may come after the last moment it can act on.
				done := err == nil
				if !done && (!errors.As(err, &exit) || exit.ExitCode() != 130) {
					t.Errorf("ended with %v, not status 130: %s", err, out)
				}
				if got := s.docker(t, "inspect", "-f", "{{.State.Status}}", name); got != state {
					t.Errorf("the session is %s, it was %s", got, state)
				}
				if tagged := s.docker(t, "images", "-q", ref) != ""; tagged && !strings.Contains(out, `"ImageID":"sha256:`) {
					t.Errorf("%s exists and was not reported: %s", ref, out)
				} else if done && !tagged {
					t.Errorf("reported as done without an image: %s", out)
				}
				if after := s.untagged(t); after != before {
					t.Errorf("a temporary image is left:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	}
}

// untagged lists the images without a name that snapshots have made, sorted:
// engines list those of one moment in any order.
func (s suite) untagged(t *testing.T) string {
	t.Helper()
	ids := strings.Fields(s.docker(t, "images", "-q", "--no-trunc", "--filter", "dangling=true", "--filter", "label=io.github.docker-kasm.snapshot.id"))
	slices.Sort(ids)
	return strings.Join(ids, "\n")
}

// started is what the event of a step that begins holds.
func started(step string) string { return fmt.Sprintf(`"Step":%q,"Type":"started"`, step) }

// interrupted runs a commit with all that makes temporary images and sends it
// SIGINT upon an event. It returns all it printed.
func interrupted(s suite, t *testing.T, event, name, ref string) (string, error) {
	t.Helper()
	cmd := command("docker", "kasm", "commit", "--progress", "json", "--format", "json", "--no-register", "--include-mount", "/data", "--flatten", name, ref)
	cmd.Env = s.user(t).env
	return onEvent(t, cmd, event)
}

// onEvent runs a command and sends it SIGINT when a line of its stderr has the
// event. It returns all that was printed.
func onEvent(t *testing.T, cmd *exec.Cmd, event string) (string, error) {
	t.Helper()
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), event) {
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	return text.String() + stdout.String(), err
}
