package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// verify reads the new image's configuration back and compares it with the
// plan. Only an image that is what was promised gets its name.
func (j *job) verify(ctx context.Context) error {
	var raw bytes.Buffer
	_, err := j.API.ImageInspect(ctx, j.image, client.ImageInspectWithRawResponse(&raw))
	if err != nil {
		return fmt.Errorf("read the new image %s back: %w", j.image, err)
	}
	var got struct {
		Config          container.Config
		ContainerConfig json.RawMessage
	}
	if err := json.Unmarshal(raw.Bytes(), &got); err != nil {
		return fmt.Errorf("read the new image %s back: %w", j.image, err)
	}
	want := j.plan.expected
	if j.config != nil {
		want = j.plan.wanted()
	}
	diff := compareConfig(want, got.Config)
	if leaks := j.leaks(got.ContainerConfig); len(leaks) > 0 {
		diff = append(diff, fmt.Errorf("the image's build record still holds the run-time value of %s", strings.Join(leaks, ", ")))
	}
	if len(diff) > 0 {
		return fmt.Errorf("the new image is not what was planned, so it was not named: %w", errors.Join(diff...))
	}
	if err := j.giveName(ctx); err != nil {
		return err
	}
	if j.req.Delete {
		return nil // it is held until the session is gone
	}
	// The session is not needed any longer.
	return j.unlock()
}

// giveName tags the new image. Another snapshot may have taken the name since
// the plan, so it is looked at again under a lock that all snapshots on this
// engine share.
func (j *job) giveName(ctx context.Context) error {
	ctx, names, err := j.take(ctx, namesKey, false, func(string) {})
	if err != nil {
		j.moreHeld = true
		return err
	}
	defer func() {
		j.moreHeld = names.release() != nil || j.moreHeld
	}()
	if j.req.Reference == "" {
		if err := j.generateName(ctx); err != nil {
			return err
		}
	} else if id, err := j.imageID(ctx, j.result.Image); err != nil {
		return err
	} else if id != "" && id != j.plan.former {
		j.warn("%s was given to another image meanwhile; the name moves to the new one, the other stays as %s", j.result.Image, id)
	}
	if err := j.naming(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// From here on an interrupt could not tell whether the name was given.
	ctx = context.WithoutCancel(ctx)
	tagErr := j.API.ImageTag(ctx, j.image, j.result.Image)
	// An engine that went away may have given the name all the same.
	id, err := j.imageIDLater(ctx, j.result.Image, tagErr)
	if tagErr != nil && (err != nil || id != j.image) {
		return fmt.Errorf("name the new image %q: %w", j.result.Image, tagErr)
	}
	if err != nil {
		return err
	}
	if id != j.image {
		return fmt.Errorf("name the new image %q: the name belongs to %s instead of %s", j.result.Image, id, j.image)
	}
	j.result.ImageID = j.image
	return nil
}

func (j *job) naming() error {
	if j.Naming == nil {
		return nil
	}
	named := j.result
	named.ImageID = j.image
	pending, err := j.pending(named)
	if err != nil {
		return err
	}
	return j.Naming(named, pending)
}

// imageIDLater is imageID after a request with the error err. Where that is a
// lost connection, the engine is waited for.
func (j *job) imageIDLater(ctx context.Context, name string, err error) (string, error) {
	if !engine.ConnectionLost(err) {
		return j.imageID(ctx, name)
	}
	deadline := time.NewTimer(tidyTimeout)
	defer deadline.Stop()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		id, err := j.imageID(ctx, name)
		if !engine.ConnectionLost(err) {
			return id, err
		}
		select {
		case <-deadline.C:
			return id, err
		case <-ticker.C:
		}
	}
}

// leaks lists the dropped names whose values stand in the container's
// configuration that some engines keep inside the image's.
func (j *job) leaks(containerConfig json.RawMessage) []string {
	var kept container.Config
	if len(containerConfig) == 0 || json.Unmarshal(containerConfig, &kept) != nil {
		return nil
	}
	return j.plan.env.foundIn(kept.Env)
}

// compareConfig lists how an image's configuration differs from the wanted
// one. Ports and volumes may be more than wanted: engines only add to them.
func compareConfig(want, got container.Config) []error {
	var diff []error
	report := func(key string, want, got any) {
		diff = append(diff, fmt.Errorf("%s is %q instead of %q", key, fmt.Sprint(got), fmt.Sprint(want)))
	}
	// Values of the environment stay out of messages: they may be secret.
	diff = append(diff, compareNames("environment variable", envMap(want.Env), envMap(got.Env))...)
	diff = append(diff, compareNames("label", want.Labels, got.Labels)...)
	for _, c := range []struct {
		key       string
		want, got []string
	}{{"CMD", want.Cmd, got.Cmd}, {"ENTRYPOINT", want.Entrypoint, got.Entrypoint}, {"ONBUILD", want.OnBuild, got.OnBuild}} {
		if !slices.Equal(c.want, c.got) {
			report(c.key, c.want, c.got)
		}
	}
	if want.User != got.User {
		report("USER", want.User, got.User)
	}
	// Engine 20.10 keeps a path as it was written.
	if path.Clean("/"+want.WorkingDir) != path.Clean("/"+got.WorkingDir) {
		report("WORKDIR", want.WorkingDir, got.WorkingDir)
	}
	for port := range want.ExposedPorts {
		if _, ok := got.ExposedPorts[port]; !ok {
			diff = append(diff, fmt.Errorf("port %s is not exposed", port))
		}
	}
	for volume := range want.Volumes {
		if _, ok := got.Volumes[volume]; !ok {
			diff = append(diff, fmt.Errorf("volume %s is not declared", volume))
		}
	}
	return diff
}

func compareNames(what string, want, got map[string]string) []error {
	var diff []error
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[name]
		switch {
		case !ok:
			diff = append(diff, fmt.Errorf("%s %s is missing", what, name))
		case value != want[name]:
			diff = append(diff, fmt.Errorf("%s %s has another value", what, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			diff = append(diff, fmt.Errorf("%s %s should not be there", what, name))
		}
	}
	return diff
}
