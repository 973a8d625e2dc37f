package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// clean takes what was given at run time out of the new image, by loading it
// again under a rewritten configuration.
func (j *job) clean(ctx context.Context) error {
	if j.config == nil {
		return j.blanked(ctx)
	}
	if err := j.rewrite(); err != nil {
		return fmt.Errorf("rewrite the configuration of the committed image %s: %w", j.image, err)
	}
	id, err := j.loadOver(ctx, j.image, j.config)
	j.replace(id)
	if err != nil {
		return fmt.Errorf("clean the committed image: %w", err)
	}
	if err := j.dropFormer(ctx); err != nil {
		return err
	}
	j.result.Dropped = append(shown(j.plan.env), shown(j.plan.labels)...)
	return nil
}

// blanked reports what had to stay on an engine that lets no configuration be
// rewritten. The commit has blanked the values; only the command line could
// hold one still.
func (j *job) blanked(ctx context.Context) error {
	history, err := j.API.ImageHistory(ctx, j.image)
	if err != nil {
		return fmt.Errorf("read the history of the committed image %s: %w", j.image, err)
	}
	leaks := j.plan.taken
	if len(history) > 0 {
		leaks = append(leaks, j.plan.env.foundIn([]string{history[0].CreatedBy})...)
	}
	if len(leaks) > 0 {
		return fmt.Errorf("the session's command line holds the value of %s, and this engine lets it not be taken out of the image (%w): upgrade the engine, or publish it with --keep-env %s",
			leaks[0], errNoBlobs, leaks[0])
	}
	j.result.Blanked = append(shown(j.plan.env), shown(j.plan.labels)...)
	if len(j.result.Blanked) > 0 {
		j.info("on this engine the names stay, with empty values: %s", strings.Join(j.result.Blanked, ", "))
	}
	return nil
}

// containerOnly are the keys of a container's configuration that describe one
// container and not what may be run of an image.
func containerOnly() []string {
	return []string{
		"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce",
		"Image", "MacAddress", "NetworkDisabled",
	}
}

// readCommitted reads the configuration that the commit made and compares it
// with what was planned. An engine that does not show it leaves j.config nil.
func (j *job) readCommitted(ctx context.Context) error {
	config, err := j.readConfig(ctx, j.image)
	if errors.Is(err, errNoBlobs) {
		return nil
	}
	if err != nil {
		return err
	}
	var got container.Config
	if err := config.decode(&got); err != nil {
		return fmt.Errorf("read the configuration of the committed image %s: %w", j.image, err)
	}
	want := j.plan.expected
	if len(j.plan.taken) > 0 {
		// An engine puts the command back where the image has none.
		want.Cmd, want.Entrypoint = got.Cmd, got.Entrypoint
	}
	if diff := compareConfig(want, got); len(diff) > 0 {
		return fmt.Errorf("the engine did not commit what was planned: %w", errors.Join(diff...))
	}
	if n := len(config.history); n > 0 {
		// The engine writes the session's command line here.
		if last := &config.history[n-1]; len(j.plan.env.foundIn([]string{last.CreatedBy})) > 0 {
			last.CreatedBy = "docker kasm commit"
		}
	}
	j.config = config
	return nil
}

// rewrite makes the committed image's configuration the wanted one, leaving out
// the container's, its id, and the values that must go.
func (j *job) rewrite() error {
	for _, key := range []string{"container", "container_config"} {
		delete(j.config.root, key)
	}
	for _, key := range containerOnly() {
		delete(j.config.config, key)
	}
	want := j.plan.wanted()
	return errors.Join(
		setConfig(j.config, "Env", want.Env, len(want.Env)),
		setConfig(j.config, "Labels", want.Labels, len(want.Labels)),
		setConfig(j.config, "Cmd", want.Cmd, len(want.Cmd)),
		setConfig(j.config, "Entrypoint", want.Entrypoint, len(want.Entrypoint)),
		setConfig(j.config, "Volumes", want.Volumes, len(want.Volumes)),
	)
}

// provenance are the labels that say where the new image comes from.
func (j *job) provenance() map[string]string {
	p := j.plan
	now := j.Now().UTC().Format(time.RFC3339)
	labels := map[string]string{
		LabelSnapshot + ".id":                j.id,
		LabelSnapshot + ".created":           now,
		LabelSnapshot + ".parent":            p.container.Config.Image,
		LabelSnapshot + ".parent.id":         p.container.Image,
		"org.opencontainers.image.created":   now,
		"org.opencontainers.image.base.name": p.container.Config.Image,
	}
	if p.session.Workspace != "" && (p.session.Kind == session.Managed || p.session.Kind == session.Adopted) {
		labels[LabelSnapshot+".workspace"] = p.session.Workspace
	}
	if d := repoDigest(p.parent); d != "" {
		labels["org.opencontainers.image.base.digest"] = d
	}
	return labels
}

// LabelSnapshot is the prefix of the labels that tell where an image made by a
// snapshot comes from.
const LabelSnapshot = "io.github.docker-kasm.snapshot"
