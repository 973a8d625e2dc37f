package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
)

// twoMachines returns a session and two users who share nothing but the engine
// it is on, as if each had a machine of their own.
func twoMachines(t *testing.T, name string) (one, other *victim) {
	t.Helper()
	f := &faults{suite: newSuite(t)}
	var err error
	if f.api, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cleanUp(name) })
	one = f.newVictim(t, name, 30)
	return one, &victim{faults: f, user: f.user(t), name: name, former: one.former}
}

// TestSnapshotsOfOneSessionFollowEachOther makes four snapshots of a session at
// once, from two machines. The engine's events must show that it was never
// resumed while another one copied its files.
func TestSnapshotsOfOneSessionFollowEachOther(t *testing.T) {
	const name = "e2eexclusive"
	one, other := twoMachines(t, name)
	messages, failed := one.api.Events(t.Context(), events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)), filters.Arg("container", name),
		filters.Arg("event", string(events.ActionPause)), filters.Arg("event", string(events.ActionUnPause)), filters.Arg("event", string(events.ActionCommit)),
	)})
	const each = 2
	var wg sync.WaitGroup
	for i := range 2 * each {
		v := []*victim{one, other}[i%2]
		wg.Go(func() {
			if out, err := v.user.kasm("commit", "--no-register", name, fmt.Sprintf("%s:%d", name, i)); err != nil {
				t.Errorf("snapshot %d: %s", i, out)
			}
		})
	}
	// An engine with a graphdriver reports a commit while the session still
	// stands still, one with a containerd store as well.
	want := strings.TrimSpace(strings.Repeat("pause commit unpause ", 2*each))
	var got []string
	deadline := time.After(commandTimeout)
	for len(got) < len(strings.Fields(want)) {
		select {
		case m := <-messages:
			got = append(got, string(m.Action))
		case err := <-failed:
			t.Fatal(err)
		case <-deadline:
			t.Fatalf("the engine did only this: %v", got)
		}
	}
	wg.Wait()
	if strings.Join(got, " ") != want {
		t.Errorf("the engine did %v", got)
	}
	for _, v := range []*victim{one, other} {
		for _, w := range v.settle(t, settled, v.leftovers) {
			t.Error(w)
		}
	}
}

// midst makes a snapshot that comes to a request of a step, which is kept from the
// engine until goOn is called.
func (v *victim) midst(t *testing.T, step snapshot.Step, ref string) (c *commit, goOn func()) {
	t.Helper()
	address, reached, goOn := v.holding(t, http.MethodPost, map[snapshot.Step]string{
		snapshot.StepCommit: "/commit$", snapshot.StepClean: "/images/load$",
	}[step])
	through := *v
	through.user.env = append(slices.Clip(v.user.env), "DOCKER_HOST="+address)
	c = through.commit(t, ref, "--no-register")
	select {
	case <-reached:
	case <-c.read:
		t.Fatalf("the snapshot ended before %s: %s", step, c.stderr.String())
	}
	return c, goOn
}

// TestSessionIsLeftAloneDuringSnapshot tries to get at a session in the midst of a
// snapshot, which goes on only after that, from the same machine and another.
func TestSessionIsLeftAloneDuringSnapshot(t *testing.T) {
	const name = "e2ealone"
	one, other := twoMachines(t, name)
	for _, step := range []snapshot.Step{snapshot.StepCommit, snapshot.StepClean} {
		c, goOn := one.midst(t, step, name+":"+string(step))
		for machine, v := range map[string]*victim{"the same machine": one, "another machine": other} {
			for _, args := range [][]string{
				{"commit", "--no-wait", "--no-register", name, name + ":second"},
				{"start", name}, {"stop", name}, {"pause", name}, {"rm", "-f", name},
			} {
				out, err := v.user.kasm(args...)
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, fmt.Sprintf("snapshot of session %q is under way", name)) {
					t.Errorf("%s in step %s, from %s: %v: %s", args[0], step, machine, err, out)
				}
			}
		}
		goOn()
		if status, result := c.wait(t); status != 0 || len(one.reported(t.Context(), result)) > 0 {
			t.Errorf("the snapshot ended with status %d: %+v: %s", status, result, c.stderr.String())
		}
	}
	for _, verb := range []string{"pause", "start", "stop"} {
		if out, err := other.user.kasm(verb, name); err != nil {
			t.Errorf("%s after the snapshot: %s", verb, out)
		}
	}
}

// TestSessionThatItsUserPausedStaysPaused pauses a session behind the back of a
// snapshot that is then interrupted.
func TestSessionThatItsUserPausedStaysPaused(t *testing.T) {
	const name = "e2epaused"
	v, _ := twoMachines(t, name)
	c, goOn := v.midst(t, snapshot.StepClean, name+":v1")
	v.docker(t, "pause", name)
	signal(children(c.cmd.Process.Pid), syscall.SIGINT)
	goOn()
	// It can be through with all that an interrupt ends.
	if status, _ := c.wait(t); status != 130 && status != 0 {
		t.Errorf("ended with status %d: %s", status, c.stderr.String())
	}
	for _, w := range append(v.settle(t, settled, v.leftovers), v.inState(t.Context(), session.Paused)...) {
		t.Error(w)
	}
}

// TestGuardIsThereHoweverThePluginWasStarted kills plugins that were started in
// several ways in the midst of a commit.
func TestGuardIsThereHoweverThePluginWasStarted(t *testing.T) {
	const name = "e2eguard"
	v, _ := twoMachines(t, name)
	create := command("docker", "context", "create", "kasm", "--docker", "host="+v.host)
	create.Env = v.user.env
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for how, plugin := range map[string][]string{
		"standalone":                    {v.plugin},
		"standalone, with options":      {v.plugin, "--context", "kasm"},
		"a context named as the plugin": {"docker", "--context", "kasm", "kasm"},
	} {
		t.Run(how, func(t *testing.T) {
			c := v.commitBy(t, plugin, name+":v1", "--no-register")
			if !c.await(snapshot.StepCommit) {
				t.Fatalf("the snapshot ended before the commit: %s", c.stderr.String())
			}
			pids := []int{c.cmd.Process.Pid}
			if plugin[0] == "docker" {
				pids = children(c.cmd.Process.Pid)
			}
			signal(pids, syscall.SIGKILL)
			c.wait(t)
			for _, w := range v.settle(t, settled, v.runsOn) {
				t.Error(w)
			}
			v.sweep(t)
		})
	}
}
