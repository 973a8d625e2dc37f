package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const (
	// maxLayers is where engines with a graphdriver refuse another layer
	// (moby layer/layer_store.go, maxLayerDepth).
	maxLayers = 125
	// manyLayers is where a user should hear of it.
	manyLayers = 100
	// registryTimeout bounds the check of a registry before the commit.
	registryTimeout = 45 * time.Second
)

// plan is all that is known and decided before the session is touched.
type plan struct {
	session   session.Session
	container container.InspectResponse
	// parent is the image the session was created from.
	parent image.InspectResponse
	// parentGone is set when the engine has that image no more.
	parentGone bool
	engine     engine.Info
	ref        reference.NamedTagged
	// former is the image that an explicit name belonged to, "" if none.
	former string
	// now is the time that generated names are made from.
	now  time.Time
	push bool
	// workspace is the registration the session was run from, nil if unknown.
	workspace *workspace.Workspace
	// base is the configuration the engine is told to start from: the
	// container's, with run-time environment and labels taken back.
	base container.Config
	// expected is base after the changes.
	expected container.Config
	env      drops
	labels   drops
	// taken are the names whose dropped values the session's own command line
	// holds; the image's command is then used instead.
	taken []string
	// mounts are the mounts whose content is brought into the image.
	mounts []container.MountPoint
	// layers is how many layers the image will have, 0 where the parent is gone.
	layers int
	// exported is set when the engine takes no further layer and the session's
	// files are flattened without a commit.
	exported bool
}

// wanted is the configuration that the new image is to have where the engine
// lets it be rewritten: the expected one without the blanks, and without the
// volumes that only a mount of the session's made.
func (p *plan) wanted() container.Config {
	want := p.expected
	want.Env = p.env.withoutBlank(want.Env)
	want.Labels = p.labels.labelsWithoutBlank(want.Labels)
	want.Volumes = maps.Clone(want.Volumes)
	for _, m := range p.mounts {
		delete(want.Volumes, m.Destination)
	}
	return want
}

func (j *job) makePlan(ctx context.Context) error {
	p := &plan{push: j.req.Push || j.req.Registry != ""}
	j.plan = p
	if strings.ContainsFunc(j.req.FriendlyName, unicode.IsControl) {
		return &UsageError{Err: fmt.Errorf("the friendly name %q has control characters", j.req.FriendlyName)}
	}
	// Meanwhile, as it takes some engines long.
	asked := make(chan error, 1)
	go func() {
		var err error
		p.engine, err = engine.Inspect(ctx, j.API)
		asked <- err
	}()
	err := j.planSession(ctx)
	if unknown := <-asked; err == nil {
		err = unknown
	}
	if err != nil {
		return err
	}
	if err := j.planParent(ctx); err != nil {
		return err
	}
	if err := j.planReference(ctx); err != nil {
		return err
	}
	if err := j.planConfig(); err != nil {
		return err
	}
	if !j.req.NoRegister && !j.req.DryRun {
		if err := j.Catalog.Writable(ctx); err != nil {
			hint := "see to that folder, or give --no-register"
			if j.req.Delete {
				// Nobody wants a session deleted whose snapshot cannot be launched.
				hint = "see to that folder"
			}
			return fmt.Errorf("the new workspace could not be saved: %w; %s", err, hint)
		}
	}
	if p.push {
		return j.planPush(ctx)
	}
	return nil
}

func (j *job) planSession(ctx context.Context) error {
	s, err := session.Find(ctx, j.API, j.req.Session, session.In(j.Roster), session.AnyContainer())
	if err != nil {
		if ws := j.notContainer(ctx, err); ws != nil {
			return fmt.Errorf("cannot commit %q: it is a %s workspace, and only sessions of container workspaces have an image to make", ws.Name, ws.Type)
		}
		return err
	}
	if err := s.Check(session.Commit); err != nil {
		return err
	}
	j.plan.session, j.result.Session = s, s.Name
	if j.plan.container, err = j.API.ContainerInspect(ctx, s.ID); err != nil {
		return fmt.Errorf("inspect session %q: %w", s.Name, err)
	}
	if s.Workspace == "" {
		return nil
	}
	ws, err := j.Catalog.GetIn(ctx, s.Scope, s.Workspace)
	switch {
	case err == nil:
		j.plan.workspace = ws
	case errors.Is(err, workspace.ErrNotFound):
	default:
		j.warn("workspace %q of this session cannot be read, its settings are not inherited: %s", s.Workspace, err)
	}
	return nil
}

// notContainer returns the server or link workspace that the user meant by a
// name which is no session.
func (j *job) notContainer(ctx context.Context, err error) *workspace.Workspace {
	var missing *session.NotFoundError
	if !errors.As(err, &missing) || workspace.ValidName(j.req.Session) != nil {
		return nil
	}
	ws, err := j.Catalog.Get(ctx, j.req.Session)
	if err != nil || ws.Type == workspace.TypeContainer {
		return nil
	}
	return ws
}

func (j *job) planParent(ctx context.Context) error {
	p := j.plan
	var err error
	p.parent, err = j.API.ImageInspect(ctx, p.container.Image)
	if cerrdefs.IsNotFound(err) {
		p.parentGone = true
		if !slices.Contains(j.req.KeepEnv, keepAll) || !slices.Contains(j.req.KeepLabels, keepAll) {
			return fmt.Errorf("cannot commit session %q: the image it was created from, %s (%s), is gone, so that what was given at run time cannot be told apart: bring that image back, or keep all of it with `docker kasm commit --keep-env '*' --keep-label '*' %s`",
				p.session.Name, p.container.Config.Image, p.container.Image, p.session.Name)
		}
		j.warn("the image this session was created from is gone: what was given at run time stays in the new image")
		return j.planMounts()
	}
	if err != nil {
		return fmt.Errorf("inspect the image of session %q: %w", p.session.Name, err)
	}
	if err := j.planMounts(); err != nil {
		return err
	}
	return j.planLayers(len(p.parent.RootFS.Layers) + 1)
}

// planLayers looks at how many layers the image would have.
func (j *job) planLayers(layers int) error {
	p := j.plan
	if len(p.mounts) > 0 {
		layers++
	}
	p.layers = layers
	switch {
	case j.req.Flatten:
		// A commit comes first where the engine takes it, because the engine
		// holds the session still meanwhile.
		p.exported = layers > maxLayers && p.engine.Store == engine.Graphdriver
	case layers > maxLayers && p.engine.Store == engine.Graphdriver:
		return fmt.Errorf("cannot commit session %q: the image would have %d layers, and this engine takes %d: `docker kasm commit --flatten` makes one of them", p.session.Name, layers, maxLayers)
	case layers > maxLayers:
		j.warn("the image will have %d layers: engines without the containerd image store take %d and cannot pull it; `docker kasm commit --flatten` makes one of them", layers, maxLayers)
	case layers > manyLayers:
		j.warn("the image will have %d layers of the %d that engines take; `docker kasm commit --flatten` makes one of them", layers, maxLayers)
	}
	return nil
}

// planMounts finds the mounts whose content is to be in the image.
func (j *job) planMounts() error {
	p := j.plan
	for _, at := range j.req.IncludeMounts {
		at = path.Clean(at)
		i := slices.IndexFunc(p.container.Mounts, func(m container.MountPoint) bool { return m.Destination == at })
		if _, ok := p.container.HostConfig.Tmpfs[at]; ok || i >= 0 && p.container.Mounts[i].Type == mount.TypeTmpfs {
			return &UsageError{Err: fmt.Errorf("cannot include %s: it is kept in memory, where the engine does not read it; copy what is needed to the session's disk first", at)}
		}
		if i < 0 {
			var have []string
			for _, m := range p.container.Mounts {
				have = append(have, m.Destination)
			}
			if len(have) == 0 {
				return &UsageError{Err: fmt.Errorf("cannot include %s: session %q has no mounts", at, p.session.Name)}
			}
			return &UsageError{Err: fmt.Errorf("cannot include %s: nothing is mounted there; the mounts of session %q are %s", at, p.session.Name, strings.Join(have, ", "))}
		}
		if volume := j.declaredVolume(at); volume != "" {
			return fmt.Errorf("cannot include %s: the image declares a VOLUME at %s, and whatever it holds there is hidden by a new volume in each session", at, volume)
		}
		if !slices.ContainsFunc(p.mounts, func(m container.MountPoint) bool { return m.Destination == at }) {
			p.mounts = append(p.mounts, p.container.Mounts[i])
		}
	}
	return nil
}

// declaredVolume returns the VOLUME of the parent image or of a change that a
// path lies in, "" if none does.
func (j *job) declaredVolume(at string) string {
	declared := map[string]struct{}{}
	if !j.plan.parentGone && j.plan.parent.Config != nil {
		maps.Copy(declared, j.plan.parent.Config.Volumes)
	}
	// What does not become a volume of an empty configuration is none of a
	// change's; a change that cannot be applied is refused elsewhere.
	if changed, err := j.req.Changes.Apply(container.Config{Env: j.plan.container.Config.Env}); err == nil {
		maps.Copy(declared, changed.Volumes)
	}
	for volume := range declared {
		if v := path.Clean(volume); at == v || strings.HasPrefix(at, strings.TrimSuffix(v, "/")+"/") {
			return volume
		}
	}
	return ""
}

func (j *job) planReference(ctx context.Context) error {
	p, req := j.plan, j.req
	if req.Reference == "" {
		if err := j.generateName(ctx); err != nil {
			return err
		}
		j.info("image will be %s", j.result.Image)
		return nil
	}
	if err := j.setName(req.Reference); err != nil {
		return err
	}
	former, err := j.imageID(ctx, j.result.Image)
	if err != nil {
		return err
	}
	if p.former = former; former != "" {
		j.warn("%s names an image already; the name moves to the new one, the former stays as %s", j.result.Image, former)
	}
	return nil
}

// generateName makes the new image's name from the session's image and the
// time of the plan, and passes over names that are taken.
func (j *job) generateName(ctx context.Context) error {
	if j.plan.now.IsZero() {
		j.plan.now = j.Now()
	}
	generator := imageref.Generator{Prefix: j.req.Prefix, Now: j.plan.now, Taken: func(name string) (bool, error) {
		if j.req.Registry != "" {
			qualified, err := imageref.Qualify(name, j.req.Registry)
			if err != nil {
				return false, err
			}
			name = qualified.String()
		}
		id, err := j.imageID(ctx, name)
		return id != "", err
	}}
	ref, err := generator.Generate(j.plan.container.Config.Image)
	if err != nil {
		return fmt.Errorf("generate a name for the new image: %w", err)
	}
	return j.setName(imageref.Familiar(ref))
}

// setName qualifies a name with the wanted registry and checks it.
func (j *job) setName(name string) error {
	if j.req.Registry != "" {
		qualified, err := imageref.Qualify(name, j.req.Registry)
		if err != nil {
			return &UsageError{Err: err}
		}
		name = qualified.String()
	}
	ref, err := imageref.ParseTagged(name)
	if err != nil {
		return &UsageError{Err: err}
	}
	j.plan.ref, j.result.Image = ref, imageref.Familiar(ref)
	return nil
}

// imageID returns the id that a name has on the engine, "" if it has none.
func (j *job) imageID(ctx context.Context, name string) (string, error) {
	img, err := j.API.ImageInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for image %q: %w", name, err)
	}
	return img.ID, nil
}

// UsageError is a refusal of what the user typed.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the refusal itself.
func (e *UsageError) Unwrap() error { return e.Err }

func (j *job) planConfig() error {
	p := j.plan
	given := p.container.Config
	env, labels := given.Env, given.Labels
	if !p.parentGone && p.parent.Config != nil {
		env, labels = p.parent.Config.Env, p.parent.Config.Labels
	}
	// An image made by a plain commit of a session carries its labels on.
	labels = maps.Clone(labels)
	maps.DeleteFunc(labels, func(name, _ string) bool { return session.IsSessionLabel(name) })
	var err error
	if p.env, err = compare(envMap(given.Env), envMap(env), j.req.Changes.EnvNames(), j.req.KeepEnv); err != nil {
		return &UsageError{Err: fmt.Errorf("--keep-env: %w", err)}
	}
	if p.labels, err = compare(given.Labels, labels, j.req.Changes.LabelNames(), j.req.KeepLabels); err != nil {
		return &UsageError{Err: fmt.Errorf("--keep-label: %w", err)}
	}
	p.base = *given
	p.base.Env = p.env.environment(env)
	p.base.Labels = p.labels.labels(labels)
	j.takeCommand()
	for k, v := range j.provenance() {
		p.base.Labels[k] = v
	}
	if p.expected, err = j.req.Changes.Apply(p.base); err != nil {
		return &UsageError{Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(p.expected.Labels)) {
		// It would make every container of the image a session, or hide from the next
		// snapshot what this one leaves when it is killed.
		if session.IsOwnLabel(name) && p.expected.Labels[name] != p.base.Labels[name] {
			return &UsageError{Err: fmt.Errorf("--change: label %q is set by `docker kasm` itself or by Kasm, and tells sessions and snapshots apart: choose another name", name)}
		}
	}
	j.warnOfVariables()
	if j.req.Changes.SetsCmd() && len(p.expected.Cmd) == 0 && len(p.expected.Entrypoint) == 0 {
		// merge() in moby's daemon/commit.go
		return &UsageError{Err: errors.New("CMD [] would clear nothing: without an ENTRYPOINT engines put the session's own command back")}
	}
	return nil
}

// takeCommand takes a command that was given at run time, and that holds a value
// that must go, back to the image's own.
func (j *job) takeCommand() {
	p := j.plan
	if p.parentGone || p.parent.Config == nil {
		return
	}
	if slices.Equal(p.base.Cmd, p.parent.Config.Cmd) && slices.Equal(p.base.Entrypoint, p.parent.Config.Entrypoint) {
		return
	}
	if p.taken = p.env.foundIn(slices.Concat([]string(p.base.Entrypoint), []string(p.base.Cmd))); len(p.taken) == 0 {
		return
	}
	p.base.Cmd, p.base.Entrypoint = p.parent.Config.Cmd, p.parent.Config.Entrypoint
	j.warn("the session's command line holds the value of %s and is dropped: the image runs what its parent runs, unless --change 'CMD …' says otherwise", strings.Join(p.taken, ", "))
}

// warnOfVariables names the variables in changes whose run-time value is not
// used: changes see the environment that the image will have.
func (j *job) warnOfVariables() {
	for _, name := range j.req.Changes.Variables() {
		if _, ok := j.plan.env.added[name]; ok {
			j.warn("a change refers to %s, which was given at run time and is empty there", name)
		}
		if _, ok := j.plan.env.changed[name]; ok {
			j.warn("a change refers to %s, which was given at run time: it has the value of the session's image there", name)
		}
	}
}

func (j *job) planPush(ctx context.Context) error {
	host := imageref.Host(j.plan.ref)
	if why := imageref.PushProblem(j.plan.ref); why != "" {
		return &UsageError{Err: errors.New(why)}
	}
	var err error
	if j.auth, err = push.Credentials(ctx, j.Auth, host); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	return engine.CheckPush(ctx, j.API, j.plan.ref.String(), host, j.auth)
}
