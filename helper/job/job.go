// Package job holds what the helper does in the background: snapshots and pulls.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// Jobs does tasks on one engine.
type Jobs struct {
	Engine  *client.Client
	Catalog snapshot.Catalog
	// Roster has the sessions of the engine's catalog that no label tells of; nil
	// is for none.
	Roster *roster.Store
	Tasks  *task.Store
	// Records is where pushes that fail are kept, Locks where snapshots keep the
	// locks of this helper.
	Records push.Records
	Locks   string
	// Pulling tells who watches availability that an image is being pulled, until
	// done is called.
	Pulling func(image string) (done func())
	Log     *slog.Logger
}

// Register tells the tasks what each kind does.
func (j *Jobs) Register() {
	j.Tasks.Register(helperapi.TaskSnapshot, j.snapshot)
	j.Tasks.Register(helperapi.TaskPull, j.pull)
}

// Submit begins a task in the name of owner.
func (j *Jobs) Submit(ctx context.Context, owner string, n helperapi.NewTask) (task.Task, error) {
	spec := task.Spec{Owner: owner}
	var request any
	switch {
	case n.Snapshot != nil && n.Pull == nil:
		s, err := session.Find(ctx, j.Engine, n.Snapshot.Session, session.In(j.known(n.Snapshot)), session.AnyContainer())
		if err != nil {
			return task.Task{}, err
		}
		if err := s.Check(session.Commit); err != nil {
			return task.Task{}, err
		}
		if _, err := changes(n.Snapshot.Changes); err != nil {
			return task.Task{}, helperapi.Invalid(err)
		}
		spec.Kind, spec.Subject, spec.Key, request = helperapi.TaskSnapshot, s.Name, s.ID, n.Snapshot
	case n.Pull != nil && n.Snapshot == nil:
		ref, err := imageref.Parse(n.Pull.Image)
		if err != nil {
			return task.Task{}, helperapi.Invalid(err)
		}
		name := reference.TagNameOnly(ref)
		spec.Kind, spec.Subject, spec.Key, request = helperapi.TaskPull, imageref.Familiar(name), "pull "+name.String(), n.Pull
	default:
		return task.Task{}, helperapi.Invalid(errors.New("a task is a snapshot or a pull"))
	}
	data, err := json.Marshal(request)
	if err != nil {
		return task.Task{}, fmt.Errorf("submit a task: %w", err)
	}
	spec.Request, spec.Secrets = data, secrets(n.Credentials)
	return j.Tasks.Submit(spec)
}

// Retry has a task go on.
func (j *Jobs) Retry(id string, c helperapi.Credentials) (task.Task, error) {
	return j.Tasks.Retry(id, secrets(c))
}

// secrets are nothing where there are no credentials: a task that came without
// needs none after a restart either.
func secrets(c helperapi.Credentials) task.Secret[any] {
	if len(c) == 0 {
		return task.Secret[any]{}
	}
	return task.Hide[any](c)
}

// asker finds the credentials that came with a task. One that came with some
// needs them again after the helper was restarted.
func asker(run *task.Run) push.Asker {
	return func(host string) (registry.AuthConfig, error) {
		if run.Secrets().IsZero() {
			if run.Task().WithSecrets {
				return registry.AuthConfig{}, fmt.Errorf("%w for registry %s, which the helper no longer has since it was restarted: `docker kasm task retry %s` brings them", task.ErrNeedsSecrets, host, run.Task().ID)
			}
			return registry.AuthConfig{}, nil
		}
		c, _ := run.Secrets().Reveal().(helperapi.Credentials)
		return c[host], nil
	}
}

func (j *Jobs) pull(ctx context.Context, run *task.Run) error {
	var p helperapi.Pull
	if err := json.Unmarshal(run.Task().Request, &p); err != nil {
		return fmt.Errorf("read what was asked for: %w", err)
	}
	ref, err := imageref.Parse(p.Image)
	if err != nil {
		return err
	}
	name := reference.TagNameOnly(ref).String()
	auth, err := asker(run)(imageref.Host(ref))
	if err != nil {
		return err
	}
	encoded, err := registry.EncodeAuthConfig(auth)
	if err != nil {
		return fmt.Errorf("encode the credentials: %w", err)
	}
	if err := run.Step("pull"); err != nil {
		return err
	}
	defer j.Pulling(name)()
	// The task, and who waits for it, tell what was pulled.
	body, err := j.Engine.ImagePull(ctx, name, image.PullOptions{RegistryAuth: encoded})
	if err != nil {
		return push.Redacted(err)
	}
	defer body.Close()
	if err := engine.ReadStream(body, layers(run)); err != nil {
		return push.Redacted(err)
	}
	return nil
}

// layers passes the engine's messages on: of layers as progress, all others to
// the log.
func layers(run *task.Run) func(jsonmessage.JSONMessage) {
	return func(m jsonmessage.JSONMessage) {
		if m.ID == "" {
			if m.Status != "" {
				run.Log(task.Info, m.Status)
			}
			return
		}
		data, err := json.Marshal(m)
		if err == nil {
			run.Progress(m.ID, data)
		}
	}
}
