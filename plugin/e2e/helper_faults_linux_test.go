package e2e

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// TestHelperFaults kills the helper in each step of its snapshots, and holds what
// is left against what must be true whatever happens. KASM_TEST_FAULTS is the
// number of rounds in each step.
func TestHelperFaults(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("KASM_TEST_FAULTS"))
	if rounds < 1 {
		t.Skip("run `make test-faults`, or set KASM_TEST_FAULTS to the number of rounds in each step")
	}
	registry := os.Getenv("KASM_TEST_OPEN_REGISTRY")
	if registry == "" {
		t.Skip("no registry to push to: run `make test-faults`")
	}
	f := &faults{suite: newSuite(t), rounds: rounds, registry: registry}
	var err error
	if f.api, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cleanUp("e2efaults") })
	defer func() { t.Logf("rounds and what they violated:\n%s", f.tally.table()) }()
	v := &helped{victim: f.newVictim(t, "e2efaults.helper", 20)}
	removeHelper()
	t.Cleanup(removeHelper)
	v.user.must(t, "helper", "install")
	took := v.measure(t)
	states := []session.State{session.Running, session.Paused, session.Running, session.Stopped}
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			for i := range rounds {
				r := round{
					victim: v.victim, step: step, state: states[i%len(states)], options: append([]string{"--push"}, variants[i%len(variants)]...),
					ref: fmt.Sprintf("%s/e2efaults-helper-%s:%d", registry, step, i),
				}
				if within := took[step]; within > 0 {
					r.delay = rand.N(within)
				}
				v.bring(t, session.Running)
				v.write(t, "/new", 10) // what the registry has is not pushed again
				v.bring(t, r.state)
				met, wrong := v.killed(t, r)
				for _, w := range wrong {
					t.Errorf("%s: %s", r, w)
				}
				f.tally.count("kill helper", string(step), met, len(wrong))
				v.forget(t, r.ref)
				v.sweep(t)
			}
		})
	}
}

// helped is a victim whose snapshots the helper makes.
type helped struct{ *victim }

// measure makes a snapshot that nothing happens to, and returns how long each step
// takes.
func (v *helped) measure(t *testing.T) map[snapshot.Step]time.Duration {
	t.Helper()
	ref := v.registry + "/e2efaults-helper-measure:latest"
	id := v.user.begin(t, "--push", v.name, ref)
	v.user.finish(t, id, string(task.Done))
	took := map[snapshot.Step]time.Duration{}
	var last snapshot.Step
	var began time.Time
	err := v.follow(t, id, func(l task.Line) {
		if last != "" {
			took[last] = l.Time.Sub(began)
		}
		if l.Level == task.Begins {
			last, began = snapshot.Step(l.Step), l.Time
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range append(v.settle(t, settled, v.leftovers), v.resulted(t, v.task(t, id))...) {
		t.Errorf("after a snapshot that nothing happened to: %s", w)
	}
	v.forget(t, ref)
	return took
}

// follow passes the lines of a task's log on until it ends, or the helper does.
func (v *helped) follow(t *testing.T, id string, do func(task.Line)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	helper := helperClient(t, v.api)
	defer helper.Close()
	for line, err := range helper.TaskLog(ctx, id, true) {
		if err != nil {
			return err
		}
		do(line)
	}
	return nil
}

func (v *helped) task(t *testing.T, id string) task.Task {
	t.Helper()
	helper := helperClient(t, v.api)
	defer helper.Close()
	got, err := helper.Task(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// killed begins a snapshot, kills the helper in the round's step, starts it again
// and has the task go on. met tells whether the step was under way when it was
// killed.
func (v *helped) killed(t *testing.T, r round) (met bool, wrong []string) {
	t.Helper()
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	id := v.user.begin(t, slices.Concat(r.options, []string{v.name, r.ref})...)
	var pids []int
	for pid, command := range v.helperProcesses(t) {
		if strings.HasPrefix(command, "/"+dial.Binary+" serve") {
			pids = append(pids, pid)
		}
	}
	if len(pids) != 1 {
		t.Fatalf("which process is the helper? %v", pids)
	}
	killed := false
	err := v.follow(t, id, func(l task.Line) {
		if killed || l.Level != task.Begins || l.Step != string(r.step) {
			return
		}
		time.Sleep(r.delay)
		// By the engine it would take longer than most steps.
		signal(pids, syscall.SIGKILL)
		killed = true
	})
	if !killed {
		say("the step was not met: %v", err)
		return false, wrong
	}
	// The engine waits longer each time before it starts the container again by
	// itself: not for one that was killed through it as well.
	_ = command("docker", "kill", dial.Volume).Run() // it may not run just now
	v.user.must(t, "helper", "install")
	got := v.task(t, id)
	met = got.State == task.Interrupted && got.Step == string(r.step)
	switch got.State {
	case task.Done:
	case task.Interrupted:
		if !strings.Contains(got.Reason, "in step "+got.Step) || got.Step == "" {
			say("the reason does not name the step %q: %s", got.Step, got.Reason)
		}
	default:
		say("the task is %s after its helper was killed: %s", got.State, got.Reason)
	}
	wrong = append(wrong, v.settle(t, settled, func(ctx context.Context) []string {
		return append(v.leftovers(ctx), v.inState(ctx, r.state)...)
	})...)
	wrong = append(append(wrong, v.resulted(t, got)...), v.files(t, false)...)
	if got.State == task.Done {
		return met, wrong
	}
	if _, err := v.user.kasm("task", "retry", id); err != nil {
		say("retry: %v", err)
	}
	log, err := v.user.kasm("task", "logs", "-f", id)
	if got = v.task(t, id); err != nil || got.State != task.Done {
		say("a retry ends as %s: %v\n%s", got.State, err, log)
		return met, wrong
	}
	wrong = append(wrong, v.resulted(t, got)...)
	wrong = append(wrong, v.settle(t, settled, func(ctx context.Context) []string {
		return append(v.leftovers(ctx), v.inState(ctx, r.state)...)
	})...)
	return met, append(wrong, v.files(t, true)...)
}

// resulted lists what of a task's result is not so, and of one that is done what
// is missing in it.
func (v *helped) resulted(t *testing.T, got task.Task) []string {
	t.Helper()
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	var r snapshot.Result
	if len(got.Result) > 0 {
		if err := json.Unmarshal(got.Result, &r); err != nil {
			return []string{fmt.Sprintf("the result is not whole: %v", err)}
		}
	}
	if r.ImageID != "" {
		if img, err := v.api.ImageInspect(t.Context(), r.Image); err != nil || img.ID != r.ImageID {
			say("%s was reported as %s and is %s: %v", r.Image, r.ImageID, img.ID, err)
		}
	}
	if got.State == task.Done && (r.ImageID == "" || r.Workspace == "" || r.Digest == "") {
		say("done, and not all is reported: %s", got.Result)
	}
	if r.Workspace == "" {
		return wrong
	}
	var ws struct {
		Image    string
		Snapshot struct{ ImageID, Digest string }
	}
	out, err := v.user.kasm("workspace", "inspect", "--scope", "engine", "--format", "json", r.Workspace)
	if err == nil {
		err = json.Unmarshal([]byte(out), &ws)
	}
	if err != nil || ws.Image != r.Image {
		say("workspace %s was reported: %s, %v", r.Workspace, out, err)
		return wrong
	}
	// The digest is in the catalog first.
	if ws.Snapshot.ImageID != r.ImageID || r.Digest != "" && ws.Snapshot.Digest != r.Digest {
		say("workspace %s is of image %s %s, and %s %s was reported", r.Workspace, ws.Snapshot.ImageID, ws.Snapshot.Digest, r.ImageID, r.Digest)
	}
	if d := ws.Snapshot.Digest; d != "" {
		if err := v.pushed(r.Image, d); err != nil {
			say("digest %s is registered: %v", d, err)
		}
	}
	return wrong
}

// files lists what is wrong with the files in the helper's volume. What a kill has
// left of a workspace's file is removed by the next write, after which it is
// wrong.
func (v *helped) files(t *testing.T, written bool) []string {
	t.Helper()
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	content, _, err := v.api.CopyFromContainer(t.Context(), dial.Volume, "/var/lib/docker-kasm")
	if err != nil {
		return []string{err.Error()}
	}
	defer content.Close()
	images := map[string]string{}
	for archive := tar.NewReader(content); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return []string{err.Error()}
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return []string{err.Error()}
		}
		dir, base := path.Split(h.Name)
		name, isTOML := strings.CutSuffix(base, ".toml")
		switch {
		case isTOML:
			ws, err := workspace.Decode(name, base, data)
			if err != nil {
				say("%s: %v", h.Name, err)
				continue
			}
			if former := images[ws.Image]; former != "" {
				say("workspaces %s and %s are of the one image %s", former, name, ws.Image)
			}
			images[ws.Image] = name
		case strings.HasSuffix(base, ".json"):
			if !json.Valid(data) {
				say("%s is no JSON: %q", h.Name, data)
			}
		case written && strings.HasSuffix(dir, "/workspaces/") && base != "" && base != ".lock" && h.Typeflag == tar.TypeReg:
			say("%s is left in the catalog", h.Name)
		}
	}
	return wrong
}

// forget removes what a round has made.
func (v *helped) forget(t *testing.T, ref string) {
	t.Helper()
	v.victim.forget(t, ref)
	helper := helperClient(t, v.api)
	defer helper.Close()
	tasks, err := helper.Tasks(t.Context())
	errs := []error{err}
	for _, one := range tasks {
		if !one.State.Ended() {
			errs = append(errs, helper.CancelTask(t.Context(), one.ID))
			continue
		}
		errs = append(errs, helper.RemoveTask(t.Context(), one.ID))
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("remove the tasks of a round: %v", err)
	}
	for _, name := range strings.Fields(v.user.must(t, "workspace", "ls", "--scope", "engine", "-q")) {
		v.user.must(t, "workspace", "rm", "--scope", "engine", name)
	}
}
