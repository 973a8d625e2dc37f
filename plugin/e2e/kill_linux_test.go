package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
)

// steps are those a kill is aimed at.
var steps = []snapshot.Step{
	snapshot.StepPlan, snapshot.StepPreflight, snapshot.StepLock, snapshot.StepCommit,
	snapshot.StepClean, snapshot.StepVerify, snapshot.StepPush, snapshot.StepRegister,
}

// settled bounds how long a killed snapshot may take to be tidied up: a commit
// that shows in nothing is waited for for a minute.
const settled = 90 * time.Second

// round is one snapshot that something is killed in.
type round struct {
	*victim
	step    snapshot.Step
	state   session.State
	options []string
	ref     string
	delay   time.Duration
}

func (r round) String() string {
	return fmt.Sprintf("%s of a session that is %s %s, killed %s after the step began", r.ref, r.state, strings.Join(r.options, " "), r.delay)
}

// variants are the ways of making a snapshot that leave different things behind.
var variants = [5][]string{{}, {"--flatten"}, {}, {"--include-mount", mountAt}, {"--no-pause"}}

// eachRound calls do for every step and round, in all states of the session and
// variants, with a delay that ends within the step.
func (v *victim) eachRound(t *testing.T, fault string, do func(*testing.T, round) (met bool, wrong []string)) {
	states := []session.State{session.Running, session.Paused, session.Running, session.Stopped}
	for i, options := range variants[:min(v.rounds, len(variants))] {
		if v.took[i] == nil {
			v.took[i] = v.measure(t, options)
		}
	}
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			for i := range v.rounds {
				variant := i % len(variants)
				r := round{victim: v, step: step, state: states[i%len(states)], options: variants[variant]}
				if step == snapshot.StepPush {
					r.options = append([]string{"--push"}, r.options...)
				}
				r.ref = fmt.Sprintf("%s/e2efaults-%s:%d", v.registry, step, i)
				if within := v.took[variant][step]; within > 0 {
					r.delay = rand.N(within)
				}
				v.prepare(t, r)
				met, wrong := do(t, r)
				for _, w := range wrong {
					t.Errorf("%s: %s", r, w)
				}
				v.tally.count(fault, string(step), met, len(wrong))
				v.forget(t, r.ref)
				v.sweep(t)
			}
		})
	}
}

// measure makes a snapshot that nothing happens to, and returns how long each
// step takes.
func (v *victim) measure(t *testing.T, options []string) map[snapshot.Step]time.Duration {
	t.Helper()
	ref := v.registry + "/e2efaults-measure:latest"
	v.prepare(t, round{step: snapshot.StepPush, state: session.Running})
	c := v.commit(t, ref, append([]string{"--push"}, options...)...)
	status, result := c.wait(t)
	if status != 0 {
		t.Fatalf("a snapshot that nothing happens to ends with status %d: %s", status, c.stderr.String())
	}
	for _, w := range append(v.settle(t, settled, v.leftovers), v.reported(t.Context(), result)...) {
		t.Errorf("after a snapshot that nothing happened to: %s", w)
	}
	v.forget(t, ref)
	v.sweep(t)
	took := map[snapshot.Step]time.Duration{}
	for i, e := range c.events {
		if e.Type != snapshot.Started {
			continue
		}
		for _, end := range c.events[i:] {
			if end.Step == e.Step && end.Type == snapshot.Done {
				took[e.Step] = end.Time.Sub(e.Time)
			}
		}
	}
	return took
}

// prepare brings the session into the state of a round. What the registry has
// already is not pushed again: there has to be something new.
func (v *victim) prepare(t *testing.T, r round) {
	t.Helper()
	if r.step == snapshot.StepPush {
		v.bring(t, session.Running)
		v.write(t, "/new", 10)
	}
	v.bring(t, r.state)
}

// run makes the snapshot and calls kill in its step. met tells whether the step
// was under way then.
func (r round) run(t *testing.T, kill func(plugin []int)) (met bool, result snapshot.Result) {
	t.Helper()
	c := r.commit(t, r.ref, r.options...)
	var at time.Time
	if c.await(r.step) {
		time.Sleep(r.delay)
		kill(children(c.cmd.Process.Pid))
		at = time.Now()
	}
	_, result = c.wait(t)
	return !at.IsZero() && c.under(r.step, at), result
}

func signal(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}

// testKillPlugin kills the plugin at each step. Its guard has to tidy up.
func (f *faults) testKillPlugin(t *testing.T) {
	v := f.newVictim(t, "e2efaults.plugin", 20)
	v.eachRound(t, "kill plugin", func(t *testing.T, r round) (bool, []string) {
		met, result := r.run(t, func(plugin []int) { signal(plugin, syscall.SIGKILL) })
		wrong := r.settle(t, settled, func(ctx context.Context) []string {
			return append(r.leftovers(ctx), r.inState(ctx, r.state)...)
		})
		return met, append(wrong, r.reported(t.Context(), result)...)
	})
}

// testKillBoth kills the plugin and its guard. The next snapshot has to tidy up.
func (f *faults) testKillBoth(t *testing.T) {
	v := f.newVictim(t, "e2efaults.both", 20)
	v.eachRound(t, "kill plugin and guard", func(t *testing.T, r round) (bool, []string) {
		met, result := r.run(t, func(plugin []int) {
			// The guard must not see the plugin go.
			signal(plugin, syscall.SIGSTOP)
			for _, pid := range plugin {
				signal(children(pid), syscall.SIGKILL)
			}
			signal(plugin, syscall.SIGKILL)
		})
		wrong := r.settle(t, settled, func(context.Context) []string {
			// A guard that was about to be started.
			pids := r.processes()
			signal(pids, syscall.SIGKILL)
			if len(pids) > 0 {
				return []string{"the processes do not end"}
			}
			return nil
		})
		wrong = append(wrong, r.reported(t.Context(), result)...)
		again := r.commit(t, v.registry+"/e2efaults-next:latest", "--no-wait")
		status, next := again.wait(t)
		if status != 0 {
			wrong = append(wrong, fmt.Sprintf("the next snapshot ends with status %d: %s", status, again.stderr.String()))
		}
		wrong = append(wrong, r.settle(t, settled, func(ctx context.Context) []string {
			return append(r.leftovers(ctx), r.inState(ctx, r.state)...)
		})...)
		wrong = append(wrong, r.reported(t.Context(), next)...)
		r.forget(t, v.registry+"/e2efaults-next:latest")
		r.sweep(t)
		return met, wrong
	})
}

// testKillEngine kills the engine at each step; it is started again. The plugin
// or its guard has to tidy up. Such an engine stops its containers: the session
// must then be startable.
func (f *faults) testKillEngine(t *testing.T) {
	v := f.newVictim(t, "e2efaults.engine", 20)
	v.eachRound(t, "kill engine", func(t *testing.T, r round) (bool, []string) {
		pid, state := v.enginePid(t), r.state
		met, result := r.run(t, func([]int) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			state = session.Stopped
		})
		wrong := r.settle(t, settled, func(ctx context.Context) []string {
			return append(r.leftovers(ctx), r.inState(ctx, state)...)
		})
		wrong = append(wrong, r.reported(t.Context(), result)...)
		if state != session.Stopped {
			return met, wrong
		}
		if err := v.api.ContainerStart(t.Context(), v.name, container.StartOptions{}); err != nil {
			wrong = append(wrong, fmt.Sprintf("the session does not start again: %v", err))
		}
		wrong = append(wrong, r.inState(t.Context(), session.Running)...)
		return met, wrong
	})
}

// enginePid returns the process that listens on the engine's socket.
func (v *victim) enginePid(t *testing.T) int {
	t.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(v.host, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peer *syscall.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		t.Fatal(err)
	}
	if peerErr != nil {
		t.Fatal(peerErr)
	}
	if name, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(peer.Pid), "comm")); err != nil || strings.TrimSpace(string(name)) != "dockerd" {
		t.Fatalf("%s belongs to process %d, which is %q: %v", v.host, peer.Pid, name, err)
	}
	return int(peer.Pid)
}

// inState says when the session is in another state.
func (v *victim) inState(ctx context.Context, want session.State) []string {
	c, err := v.api.ContainerInspect(ctx, v.name)
	if err != nil {
		return []string{err.Error()}
	}
	status := map[string]session.State{"running": session.Running, "paused": session.Paused, "exited": session.Stopped}[c.State.Status]
	if status != want {
		return []string{fmt.Sprintf("the session is %s instead of %s", c.State.Status, want)}
	}
	return nil
}
