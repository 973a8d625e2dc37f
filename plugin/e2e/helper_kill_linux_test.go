package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/fsnotify/fsnotify"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// taken is which snapshots take alike long: those of a variant, of a session that
// runs, whose hook is run, or of one that does not.
type taken struct {
	variant int
	running bool
}

// eachKill calls do for every step, in all states of the session and variants,
// until the step was met as often as there are rounds, or was missed as often.
func (v *helped) eachKill(t *testing.T, fault string, do func(*testing.T, round) (met bool, wrong []string)) {
	states := []session.State{session.Running, session.Paused, session.Running, session.Stopped}
	// The helper registers a workspace before it pushes.
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			i, met, violations := 0, 0, 0
			defer func() { t.Logf("%d rounds, %d of them met, %d violations", i, met, violations) }()
			for ; met < v.rounds && i < 2*v.rounds; i++ {
				kind := taken{variant: i % len(variants), running: states[i%len(states)] == session.Running}
				r := round{
					victim: v.victim, step: step, state: states[i%len(states)], options: append([]string{"--push"}, variants[kind.variant]...),
					ref: fmt.Sprintf("%s/e2efaults-helper-%s:%d", v.registry, step, i),
				}
				within := v.measured(t, kind, r)
				if within[step] > 0 {
					r.delay = rand.N(within[step])
				}
				v.renew(t, r.state)
				hit, wrong := do(t, r)
				for _, w := range wrong {
					t.Errorf("%s: %s", r, w)
				}
				violations += len(wrong)
				v.tally.count(fault, string(step), hit, len(wrong))
				if hit {
					met++
				} else {
					// It is over by then: the next kill comes earlier.
					within[step] = r.delay
				}
				v.forget(t, r.ref)
				v.sweep(t)
			}
		})
	}
}

// renew brings the session into a state, with something new to push: what the
// registry has is not pushed again.
func (v *helped) renew(t *testing.T, state session.State) {
	t.Helper()
	v.bring(t, session.Running)
	v.write(t, "/new", 2)
	v.bring(t, state)
}

// measured makes a snapshot that nothing happens to, unless one of the kind was
// made, and returns how long each step takes.
func (v *helped) measured(t *testing.T, kind taken, like round) map[snapshot.Step]time.Duration {
	t.Helper()
	if v.took[kind] != nil {
		return v.took[kind]
	}
	v.renew(t, like.state)
	ref := v.registry + "/e2efaults-helper-measure:latest"
	id := v.user.begin(t, slices.Concat(like.options, []string{v.name, ref})...)
	v.user.finish(t, id, string(task.Done))
	for _, w := range append(v.settle(t, settled, v.leftovers), v.resulted(t, v.task(t, id))...) {
		t.Errorf("after a snapshot that nothing happened to: %s", w)
	}
	took := map[snapshot.Step]time.Duration{}
	var last task.Line
	for _, l := range readLog(filepath.Join(v.journal, id+".log")) {
		if last.Step != "" && last.Step != l.Step || l.Message == string(task.Done) {
			took[snapshot.Step(last.Step)] = l.Time.Sub(last.Time)
		}
		if l.Level == task.Begins {
			last = l
		}
	}
	v.took[kind] = took
	v.forget(t, ref)
	return took
}

// readLog reads the lines of a task's log that are whole.
func readLog(path string) []task.Line {
	data, _ := os.ReadFile(path)
	var lines []task.Line
	for text := range bytes.Lines(data) {
		var l task.Line
		if json.Unmarshal(text, &l) == nil {
			lines = append(lines, l)
		}
	}
	return lines
}

// strike begins a snapshot and calls kill in the round's step, which it follows in
// the journal's files: by the helper, or by its engine, the news would come too
// late. It returns the task, which the command cannot always tell.
func (v *helped) strike(t *testing.T, r round, kill func()) (id string) {
	t.Helper()
	files, err := fsnotify.NewWatcher()
	if err == nil {
		defer files.Close()
		err = files.Add(v.journal)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := command("docker", slices.Concat([]string{"kasm", "commit", "--detach"}, r.options, []string{v.name, r.ref})...)
	var out bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = v.user.env, &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	struck := false
	for timeout := time.After(commandTimeout); id == "" || !struck && !v.ended(id); {
		select {
		case e := <-files.Events:
			found, ok := strings.CutSuffix(filepath.Base(e.Name), ".log")
			if !ok {
				continue
			}
			id = found
			if !struck && slices.ContainsFunc(readLog(e.Name), func(l task.Line) bool { return l.Level == task.Begins && l.Step == string(r.step) }) {
				time.Sleep(r.delay)
				kill()
				v.hangUp()
				struck = true
			}
		case err := <-files.Errors:
			t.Fatal(err)
		case <-timeout:
			_ = cmd.Wait()
			t.Fatalf("no task comes to step %s: %s", r.step, out.String())
		}
	}
	if err := cmd.Wait(); err == nil && !regexp.MustCompile("(?m)^"+id+"$").Match(out.Bytes()) {
		t.Errorf("task %s was begun as: %s", id, out.String())
	} else if err != nil && !struck {
		t.Fatalf("begin a snapshot: %v: %s", err, out.String())
	}
	return id
}

// ended tells whether a task has, by its file.
func (v *helped) ended(id string) bool {
	data, err := os.ReadFile(filepath.Join(v.journal, id+".json"))
	var got task.Task
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	return err == nil && got.State.Ended()
}

// testKillHelper kills the helper at each step; its engine starts it again.
func (v *helped) testKillHelper(t *testing.T) {
	v.eachKill(t, "kill helper", func(t *testing.T, r round) (bool, []string) {
		pid, former := v.serving(t), v.started(t)
		id := v.strike(t, r, func() { signal([]int{pid}, syscall.SIGKILL) })
		if wrong := v.comesBack(t, former); len(wrong) > 0 {
			return false, wrong
		}
		return v.afterKill(t, r, id, r.state, task.Interrupted)
	})
}

// testKillHelpersEngine kills the engine at each step; it is started again, and
// starts the helper. A helper that outlives its engine for a while may see its task
// fail before it is told to end.
func (v *helped) testKillHelpersEngine(t *testing.T) {
	v.eachKill(t, "kill helper's engine", func(t *testing.T, r round) (bool, []string) {
		pid, former, state := v.enginePid(t), v.started(t), r.state
		id := v.strike(t, r, func() {
			signal([]int{pid}, syscall.SIGKILL)
			state = session.Stopped
		})
		if wrong := v.comesBack(t, former); len(wrong) > 0 {
			return false, wrong
		}
		met, wrong := v.afterKill(t, r, id, state, task.Interrupted, task.Failed)
		if err := v.api.ContainerStart(t.Context(), v.name, container.StartOptions{}); err != nil {
			wrong = append(wrong, fmt.Sprintf("the session does not start again: %v", err))
		}
		return met, wrong
	})
}

// serving is the helper's process.
func (v *helped) serving(t *testing.T) int {
	t.Helper()
	var pids []int
	for pid, command := range v.helperProcesses(t) {
		if strings.HasPrefix(command, "/"+dial.Binary+" serve") {
			pids = append(pids, pid)
		}
	}
	if len(pids) != 1 {
		t.Fatalf("which process is the helper? %v", pids)
	}
	return pids[0]
}

// started is when the helper's container was.
func (v *helped) started(t *testing.T) string {
	t.Helper()
	c, err := v.api.ContainerInspect(t.Context(), dial.Volume)
	if err != nil {
		t.Fatal(err)
	}
	return c.State.StartedAt
}

// comesBack waits until the helper answers that its engine has started since
// former, as its restart policy says.
func (v *helped) comesBack(t *testing.T, former string) []string {
	t.Helper()
	var waiting time.Time
	wrong := v.settle(t, settled, func(ctx context.Context) []string {
		c, err := v.api.ContainerInspect(ctx, dial.Volume)
		if err != nil {
			return []string{fmt.Sprintf("the helper does not come back: %v", err)}
		}
		if c.State.Restarting && waiting.IsZero() {
			waiting = time.Now()
		}
		if c.State.Restarting && time.Since(waiting) > 2*time.Second {
			// The engine waits longer each time before it starts a container that
			// has not run for long: not if it is told to.
			_ = command("docker", "kill", dial.Volume).Run()
			_ = command("docker", "start", dial.Volume).Run()
			waiting = time.Time{}
		}
		if c.State.StartedAt == former || !c.State.Running || c.State.Restarting {
			return []string{fmt.Sprintf("the helper does not come back: its container is %s", c.State.Status)}
		}
		return nil
	})
	if len(wrong) > 0 {
		v.user.must(t, "helper", "install") // for the next round
		return wrong
	}
	return v.settle(t, settled, func(ctx context.Context) []string {
		if err := v.helper(t).Ready(ctx); err != nil {
			v.hangUp()
			return []string{fmt.Sprintf("the helper is not ready: %v", err)}
		}
		return nil
	})
}

// afterKill holds what a kill has left against what must be true, has the task go
// on, and looks again. met tells whether the step was under way when it came;
// allowed are the states that it may have left the task in.
func (v *helped) afterKill(t *testing.T, r round, id string, state session.State, allowed ...task.State) (met bool, wrong []string) {
	t.Helper()
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	look := func() {
		wrong = append(wrong, v.settle(t, settled, func(ctx context.Context) []string {
			return append(v.leftovers(ctx), v.inState(ctx, state)...)
		})...)
		wrong = append(wrong, v.resulted(t, v.task(t, id))...)
		wrong = append(wrong, v.files(t)...)
	}
	got := v.task(t, id)
	met = got.State != task.Done && got.Step == string(r.step)
	switch {
	case got.State == task.Done:
	case !slices.Contains(allowed, got.State):
		say("the task is %s after the kill: %s", got.State, got.Reason)
	case got.State == task.Interrupted && !strings.Contains(got.Reason, "in step "+got.Step):
		say("the reason does not name the step %q: %s", got.Step, got.Reason)
	}
	if got.State != task.Done {
		wrong = append(wrong, v.lastLine(got)...)
	}
	look()
	if got.State == task.Done {
		return met, wrong
	}
	wrong = append(wrong, v.retried(t, id)...)
	look()
	return met, wrong
}

// lastLine wants the last line of a task's log to be why it has ended.
func (v *helped) lastLine(got task.Task) []string {
	lines := readLog(filepath.Join(v.journal, got.ID+".log"))
	last := ""
	if len(lines) > 0 {
		last = lines[len(lines)-1].Message
	}
	// The reason is one line of it all, and cut where that is long.
	first, _, _ := strings.Cut(last, "\n")
	if first = strings.Join(strings.Fields(first), " "); first == "" || !strings.HasPrefix(got.Reason, first[:min(len(first), 100)]) {
		return []string{fmt.Sprintf("the log's last line is %q, and the reason %q", last, got.Reason)}
	}
	return nil
}

// retried has a task go on, which has to end as done.
func (v *helped) retried(t *testing.T, id string) []string {
	t.Helper()
	if out, err := v.user.kasm("task", "retry", id); err != nil {
		return []string{fmt.Sprintf("retry: %v: %s", err, out)}
	}
	log, err := v.user.kasm("task", "logs", "-f", id)
	if got := v.task(t, id); err != nil || got.State != task.Done {
		return []string{fmt.Sprintf("a retry ends as %s: %v\n%s", got.State, err, log)}
	}
	return nil
}

// findFiles finds the helper's files on this machine.
func (v *helped) findFiles(t *testing.T) {
	t.Helper()
	volume, err := v.api.VolumeInspect(t.Context(), dial.Volume)
	if err != nil {
		t.Fatal(err)
	}
	v.data = volume.Mountpoint
	v.journal = filepath.Join(v.data, "tasks")
	if _, err := os.Stat(v.journal); err != nil {
		t.Skipf("the engine is not on this machine: %v", err)
	}
}
