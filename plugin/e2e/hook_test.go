package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// TestUnfinishedHookIsNotLeftRunning looks for a hook's processes in a session
// that goes on.
func TestUnfinishedHookIsNotLeftRunning(t *testing.T) {
	s := newSuite(t)
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	for name, c := range map[string]struct {
		prepare, want string
		left          bool
	}{
		"killed": {"true", "not finished after 5s, and killed", false},
		// What the session cannot kill is said to go on.
		"no shell": {"rm /bin/sh", "it may go on in the session", true},
	} {
		t.Run(name, func(t *testing.T) {
			container := "e2ehook." + strings.ReplaceAll(name, " ", "-")
			t.Cleanup(func() { cleanUp(container) })
			s.docker(t, "run", "-d", "--name", container, baseImage)
			s.docker(t, "exec", container, "sh", "-c", c.prepare)
			var out bytes.Buffer
			hook := session.Hook{
				// Enough to begin in on a machine that has much else to do.
				Name: "before_snapshot", Timeout: 5 * time.Second, Output: &out,
				// The middle one outlives its parent, and is in a session of its own.
				Command: []string{"ash", "-c", `trap "" TERM; echo begun; setsid ash -c "sleep 4321; true" & sleep 4321; true`},
			}
			err := hook.Run(t.Context(), api, session.Session{ID: container, Name: container})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if out.String() != "begun\n" {
				t.Errorf("shown: %q", out.String())
			}
			top := ""
			// What was killed takes a moment to die.
			until(t, func() (bool, string) {
				top = s.docker(t, "top", container)
				left := strings.Contains(top, "sleep 4321")
				return left == c.left, fmt.Sprintf("its processes are left: %v, not %v:\n%s", left, c.left, top)
			})
			if !strings.Contains(top, "sleep 3600") {
				t.Errorf("the session's own processes are gone:\n%s", top)
			}
		})
	}
}
