package snapshot

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-units"

	"github.com/docker-kasm/docker-kasm/internal/diff"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// preflight shows what will be written, left out and dropped, and runs the
// workspace's before_snapshot hook.
func (j *job) preflight(ctx context.Context) error {
	p := j.plan
	sized, _, err := j.API.ContainerInspectWithRaw(ctx, p.session.ID, true)
	if err != nil {
		return fmt.Errorf("measure what session %q has written: %w", p.session.Name, err)
	}
	if sized.SizeRw != nil {
		j.result.SizeWritten = *sized.SizeRw
	}
	j.info("%s to write", units.HumanSizeWithPrecision(float64(j.result.SizeWritten), 3))
	for _, m := range p.container.Mounts {
		if slices.ContainsFunc(p.mounts, func(in container.MountPoint) bool { return in.Destination == m.Destination }) {
			continue
		}
		j.result.LeftOut = append(j.result.LeftOut, m.Destination)
		what := string(m.Type)
		switch {
		case m.Type != mount.TypeVolume:
		case anonymous.MatchString(m.Name):
			what = "anonymous volume"
		default:
			what = "volume " + m.Name
		}
		j.warn("left out: the content of %s (%s)", m.Destination, what)
	}
	for path := range p.container.HostConfig.Tmpfs {
		j.result.LeftOut = append(j.result.LeftOut, path)
		j.info("left out: the content of %s (tmpfs)", path)
	}
	if env := shown(p.env); len(env) > 0 {
		j.info("environment given at run time is dropped: %s", strings.Join(env, ", "))
	}
	if env := slices.Sorted(maps.Keys(p.env.changed)); len(env) > 0 {
		j.info("environment changed at run time gets the image's or the changes' value: %s", strings.Join(env, ", "))
	}
	if labels := shown(p.labels); len(labels) > 0 {
		j.info("labels given at run time are dropped: %s", strings.Join(labels, ", "))
	}
	if err := j.runHook(ctx); err != nil {
		return err
	}
	return j.preview(ctx)
}

// preview names the files that may keep a copy from starting, and in a dry run
// tells all that the image would hold.
func (j *job) preview(ctx context.Context) error {
	s := j.plan.session
	if !j.req.DryRun {
		changes, err := j.API.ContainerDiff(ctx, s.ID)
		if err != nil {
			return fmt.Errorf("ask what session %q has written: %w", s.Name, err)
		}
		if left := diff.Leftovers(changes); len(left) > 0 {
			j.warn("may keep a copy from starting: %s; remove what does so in a before_snapshot hook, or give the workspace a tmpfs there", strings.Join(left, ", "))
		}
		return nil
	}
	d, err := diff.Of(ctx, j.API, s, diff.Options{})
	if err != nil {
		return err
	}
	// What is asked for is not left out.
	d.LeftOut = slices.DeleteFunc(d.LeftOut, func(m diff.Mount) bool {
		return slices.ContainsFunc(j.plan.mounts, func(in container.MountPoint) bool { return in.Destination == m.Path })
	})
	j.result.Preview, j.result.DryRun = &d, true
	return nil
}

// anonymous is the form of the names that engines give to volumes without one.
var anonymous = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (j *job) runHook(ctx context.Context) error {
	ws := j.plan.workspace
	if ws == nil || len(ws.Hooks.BeforeSnapshot) == 0 {
		return nil
	}
	if j.req.DryRun {
		j.info("hook before_snapshot would run: %s", strings.Join(ws.Hooks.BeforeSnapshot, " "))
		return nil
	}
	if j.plan.session.State != session.Running {
		j.info("hook before_snapshot not run: the session is %s", j.plan.session.State)
		return nil
	}
	hook := session.Hook{Name: "before_snapshot", Command: ws.Hooks.BeforeSnapshot, Timeout: time.Duration(ws.Hooks.Timeout), Output: infoWriter{j}}
	if err := hook.Run(ctx, j.API, j.plan.session); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j.warn("%s", err)
	}
	return nil
}

// infoWriter reports each line it is given as an event.
type infoWriter struct{ j *job }

func (w infoWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w.j.info("hook: %s", strings.TrimRight(line, "\r\n"))
	}
	return len(p), nil
}
