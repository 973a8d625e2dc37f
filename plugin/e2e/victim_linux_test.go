package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/gofrs/flock"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// victim is a session that snapshots of are made to fail, and the user who
// makes them.
type victim struct {
	*faults
	user user
	name string
	// former are images without a name that were there before it.
	former map[string]bool
}

// mountAt is where a victim has a volume.
const mountAt = "/data"

// ofWorkspace is the workspace that managed names.
const ofWorkspace = "states"

// newVictim launches a session with some megabytes to write, and a volume.
func (f *faults) newVictim(t *testing.T, name string, megabytes int) *victim {
	t.Helper()
	options := append(managed(name), "-v", name+":"+mountAt, "-e", "RUNTIME=given")
	f.docker(t, append(append([]string{"run", "-d"}, options...), baseImage)...)
	v := &victim{faults: f, user: f.user(t), name: name}
	images, err := v.temporary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v.former = map[string]bool{}
	for _, img := range images {
		v.former[img.ID] = true
	}
	// A hook lets the step preflight take long enough to be met.
	if err := workspace.Open(v.catalogDir()).Create(t.Context(), &workspace.Workspace{
		Name: ofWorkspace, Type: workspace.TypeContainer, Image: baseImage, Pull: workspace.PullMissing,
		Hooks: workspace.Hooks{BeforeSnapshot: []string{"sleep", "0.2"}},
	}); err != nil {
		t.Fatal(err)
	}
	v.write(t, "/big", megabytes)
	v.write(t, mountAt+"/content", 2)
	return v
}

// write makes a file of new content in the session, which must be running.
func (v *victim) write(t *testing.T, path string, megabytes int) {
	t.Helper()
	v.docker(t, "exec", v.name, "dd", "if=/dev/urandom", "of="+path, "bs=1M", fmt.Sprintf("count=%d", megabytes))
}

// bring brings the session into a state.
func (v *victim) bring(t *testing.T, want session.State) {
	t.Helper()
	ctx := t.Context()
	c, err := v.api.ContainerInspect(ctx, v.name)
	if err == nil && c.State.Paused && want != session.Paused {
		err = v.api.ContainerUnpause(ctx, v.name)
	}
	if err == nil && !c.State.Running && want != session.Stopped {
		err = v.api.ContainerStart(ctx, v.name, container.StartOptions{})
	}
	if err == nil && c.State.Running && want == session.Stopped {
		err = v.api.ContainerStop(ctx, v.name, container.StopOptions{})
	}
	if err == nil && want == session.Paused && !c.State.Paused {
		err = v.api.ContainerPause(ctx, v.name)
	}
	if err != nil {
		t.Fatalf("bring the session into state %s: %v", want, err)
	}
}

// commit is a `docker kasm commit` under way.
type commit struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	// started has each step as it begins, and is closed at the end.
	started chan snapshot.Event
	events  []snapshot.Event
	read    chan struct{}
}

func (v *victim) commit(t *testing.T, ref string, options ...string) *commit {
	t.Helper()
	return v.commitBy(t, []string{"docker", "kasm"}, ref, options...)
}

// commitBy is commit by a plugin that is started in its own way.
func (v *victim) commitBy(t *testing.T, plugin []string, ref string, options ...string) *commit {
	t.Helper()
	args := slices.Concat(plugin[1:], []string{"commit", "--progress", "json", "--format", "json"}, options, []string{v.name, ref})
	c := &commit{cmd: command(plugin[0], args...), started: make(chan snapshot.Event, 16), read: make(chan struct{})}
	c.cmd.Env, c.cmd.Stdout = v.user.env, &c.stdout
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		defer close(c.started)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			c.stderr.WriteString(lines.Text() + "\n")
			var e snapshot.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Step != "" {
				c.events = append(c.events, e)
				if e.Type == snapshot.Started {
					c.started <- e
				}
			}
		}
	}()
	return c
}

// await returns once the step begins, false when the command ends before.
func (c *commit) await(step snapshot.Step) bool {
	for e := range c.started {
		if e.Step == step {
			return true
		}
	}
	return false
}

// wait returns the exit status, and what was reported about an image.
func (c *commit) wait(t *testing.T) (int, snapshot.Result) {
	t.Helper()
	<-c.read
	err := c.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var result snapshot.Result
	if c.stdout.Len() > 0 {
		if err := json.Unmarshal(c.stdout.Bytes(), &result); err != nil {
			t.Errorf("the result is not whole: %v: %s", err, c.stdout.String())
		}
	}
	return c.cmd.ProcessState.ExitCode(), result
}

// under tells whether the step was under way at a time.
func (c *commit) under(step snapshot.Step, at time.Time) bool {
	under := false
	for _, e := range c.events {
		if e.Step == step && e.Type == snapshot.Started && !e.Time.After(at) {
			under = true
		}
		if e.Step == step && (e.Type == snapshot.Done || e.Type == snapshot.FailedStep) && e.Time.Before(at) {
			under = false
		}
	}
	return under
}

// children are the processes that one has started and that are not gone.
func children(pid int) []int {
	var pids []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// processes are those of the user's plugin: commands and guards.
func (v *victim) processes() []int {
	var pids []int
	list, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range list {
		if target, err := os.Readlink(exe); err != nil || target != v.plugin {
			continue
		}
		dir := filepath.Dir(exe)
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), "DOCKER_CONFIG="+v.user.config) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// settle waits until nothing is wrong, and else returns what is.
func (v *victim) settle(t *testing.T, within time.Duration, wrong func(context.Context) []string) []string {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		found := wrong(t.Context())
		if len(found) == 0 || time.Now().After(deadline) {
			return found
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// leftovers lists what must not be there when no snapshot is under way.
func (v *victim) leftovers(ctx context.Context) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	failed := func(err error) {
		if err != nil {
			say("%v", err)
		}
	}
	volumes, err := v.api.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", lock.Label))})
	failed(err)
	for _, l := range volumes.Volumes {
		say("the lock %s is held: %v", l.Name, l.Labels)
	}
	images, err := v.temporary(ctx)
	failed(err)
	for _, img := range images {
		say("image %s %v is left: %v", img.ID, img.RepoTags, img.Labels)
	}
	containers, err := v.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("name", "^/?docker-kasm-"))})
	failed(err)
	for _, c := range containers {
		if slices.Contains(c.Names, "/"+dial.Volume) {
			continue // which is not of a snapshot
		}
		say("container %v is left", c.Names)
	}
	if pids := v.processes(); len(pids) > 0 {
		say("processes of the plugin are left: %v", pids)
	}
	return append(append(wrong, v.lockedFiles()...), v.catalog()...)
}

// temporary lists the images that no snapshot leaves.
func (v *victim) temporary(ctx context.Context) ([]image.Summary, error) {
	untagged, err := v.api.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("dangling", "true"), filters.Arg("label", snapshot.LabelSnapshot+".id"))})
	carriers, carrierErr := v.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "docker-kasm/temporary"))})
	untagged = slices.DeleteFunc(untagged, func(img image.Summary) bool { return v.former[img.ID] })
	return append(untagged, carriers...), errors.Join(err, carrierErr)
}

// lockedFiles lists lock files that still block.
func (v *victim) lockedFiles() []string {
	var wrong []string
	files, _ := filepath.Glob(filepath.Join(v.user.config, "kasm", "*", "*.lock"))
	for _, path := range files {
		file := flock.New(path)
		if got, err := file.TryLock(); err != nil || !got {
			wrong = append(wrong, fmt.Sprintf("%s is locked: %v", path, err))
		}
		_ = file.Close()
	}
	return wrong
}

func (v *victim) catalogDir() string { return filepath.Join(v.user.config, "kasm", "workspaces") }

// catalog lists what is wrong with the user's workspaces.
func (v *victim) catalog() []string {
	var wrong []string
	if _, err := workspace.Open(v.catalogDir()).List(context.Background()); err != nil {
		wrong = append(wrong, err.Error())
	}
	// What a kill has left of a file is removed by the next write.
	catalog := workspace.Open(v.catalogDir())
	err := catalog.Create(context.Background(), &workspace.Workspace{Name: "probe", Type: workspace.TypeContainer, Image: baseImage, Pull: workspace.PullMissing})
	if err := errors.Join(err, catalog.Remove(context.Background(), "probe", "")); err != nil {
		wrong = append(wrong, err.Error())
	}
	files, _ := os.ReadDir(v.catalogDir())
	for _, f := range files {
		if name := f.Name(); name != ".lock" && (strings.HasPrefix(name, ".") || filepath.Ext(name) != ".toml") {
			wrong = append(wrong, fmt.Sprintf("%s is left in the catalog", name))
		}
	}
	return wrong
}

// reported lists what of a result is not so.
func (v *victim) reported(ctx context.Context, r snapshot.Result) []string {
	var wrong []string
	if r.ImageID != "" {
		if img, err := v.api.ImageInspect(ctx, r.Image); err != nil || img.ID != r.ImageID {
			wrong = append(wrong, fmt.Sprintf("%s was reported as %s and is %s: %v", r.Image, r.ImageID, img.ID, err))
		}
	}
	if r.Workspace != "" {
		if ws, err := workspace.Open(v.catalogDir()).Get(context.Background(), r.Workspace); err != nil || ws.Image != r.Image {
			wrong = append(wrong, fmt.Sprintf("workspace %s was reported: %+v, %v", r.Workspace, ws, err))
		}
	}
	return wrong
}

// sweep removes temporary images that were found to be left, so that they are
// counted once. It is not for rounds that run beside each other: an image can get
// its name meanwhile.
func (v *victim) sweep(t *testing.T) {
	t.Helper()
	left, _ := v.temporary(t.Context())
	for _, img := range left {
		_, _ = v.api.ImageRemove(t.Context(), img.ID, image.RemoveOptions{Force: true})
	}
}

// forget removes what a round has made: the named image and the registrations.
func (v *victim) forget(t *testing.T, ref string) {
	t.Helper()
	_, err := v.api.ImageRemove(t.Context(), ref, image.RemoveOptions{Force: true, PruneChildren: true})
	if err != nil && !cerrdefs.IsNotFound(err) {
		t.Errorf("remove the image of a round: %v", err)
	}
	files, _ := filepath.Glob(filepath.Join(v.catalogDir(), "*"))
	for _, f := range files {
		if filepath.Base(f) != ".lock" && filepath.Base(f) != ofWorkspace+".toml" {
			_ = os.Remove(f)
		}
	}
}
