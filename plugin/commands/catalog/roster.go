package catalog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Sessions are the user's records of sessions, beside the catalog.
func Sessions() *roster.Store {
	return roster.Open(filepath.Join(config.Dir(), "kasm", "sessions"))
}

// patience is how long the helper may take to tell its records: nobody waits longer
// for a list of sessions.
const patience = 10 * time.Second

// Records returns the records of sessions that can be read, the user's and those of
// the helper if the engine answers, and the errors of all others joined. Of a helper
// that does not tell they are those that it told of last.
func (c *Catalog) Records(ctx context.Context, answers bool) ([]roster.Record, error) {
	list, err := Sessions().List(ctx)
	if !answers {
		return list, err
	}
	shared, unread := c.sharedRecords(ctx)
	if unread != nil {
		unread = fmt.Errorf("ask for the sessions that the helper keeps: %w", unread)
		// They are not gone because it is away for a while.
		shared = c.recorded
	}
	c.recorded = shared
	return append(list, shared...), errors.Join(err, unread)
}

// AtOnce tells whether the engine is on this machine, where a connection is made in no
// time.
func (c *Catalog) AtOnce() bool {
	return engine.Local(c.dockerCLI.DockerEndpoint().Host)
}

// sharedRecords are those of the helper. It is asked only if it has any: most have
// none, and a connection to one in a container takes the engine long.
func (c *Catalog) sharedRecords(ctx context.Context) ([]roster.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	some, err := dial.MayRecord(ctx, c.dockerCLI.Client())
	// Of an engine that does not answer, who lists its containers tells. One that
	// shows its volumes to nobody shows no helper either.
	if engine.ConnectionLost(err) || cerrdefs.IsPermissionDenied(err) || err == nil && !some {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	client, err := c.sharing(ctx)
	if client == nil {
		return nil, err
	}
	return client.Sessions(ctx)
}

// AddRecord keeps a record of a session, beside its workspace's catalog.
func (c *Catalog) AddRecord(ctx context.Context, r roster.Record) error {
	if r.Scope != ScopeShare {
		return Sessions().Add(ctx, r)
	}
	client, err := c.Helper(ctx)
	if err != nil {
		return err
	}
	return client.AddSession(ctx, r)
}

// RemoveRecord removes a record of a session; one that is gone already counts as
// removed.
func (c *Catalog) RemoveRecord(ctx context.Context, r roster.Record) error {
	if r.Scope != ScopeShare {
		return Sessions().Remove(ctx, r.ID)
	}
	client, err := c.Helper(ctx)
	if err != nil {
		return err
	}
	return client.RemoveSession(ctx, r.ID)
}

// Missing drops the records of containers that their engine says it does not have.
// What cannot be told leaves them: another engine may have been asked.
func (c *Catalog) Missing(ctx context.Context, records []roster.Record) {
	api := c.dockerCLI.Client()
	// The helper's records are of its engine, wherever it was reached.
	records = slices.DeleteFunc(records, func(r roster.Record) bool {
		return r.Scope != ScopeShare && r.Host != c.dockerCLI.DockerEndpoint().Host
	})
	if len(records) == 0 {
		return
	}
	info, err := engine.Inspect(ctx, api)
	if err != nil {
		return
	}
	for _, r := range records {
		if r.Engine != info.ID {
			continue
		}
		if _, err := api.ContainerInspect(ctx, r.Container); cerrdefs.IsNotFound(err) {
			_ = c.RemoveRecord(ctx, r) // the next time, then
		}
	}
}

// ByImage returns a function that tells which workspace of the user's has an image,
// as session.ListOptions.ByImage wants it. The files are read when it is first
// called; one that cannot be read has no image.
func ByImage(ctx context.Context) func(image, id string) (name, friendly string) {
	var list []*workspace.Workspace
	read := false
	return func(image, id string) (string, string) {
		if !read {
			list, _ = User().List(ctx)
			read = true
		}
		var found *workspace.Workspace
		for _, ws := range list {
			if ws.Type != workspace.TypeContainer || !sameImage(ws, image, id) {
				continue
			}
			if found != nil {
				return "", ""
			}
			found = ws
		}
		if found == nil {
			return "", ""
		}
		return found.Name, found.DisplayName()
	}
}

func sameImage(ws *workspace.Workspace, image, id string) bool {
	if ws.Snapshot != nil && ws.Snapshot.ImageID != "" {
		return ws.Snapshot.ImageID == id
	}
	a, errA := reference.ParseNormalizedNamed(ws.Image)
	b, errB := reference.ParseNormalizedNamed(image)
	return errors.Join(errA, errB) == nil && reference.TagNameOnly(a).String() == reference.TagNameOnly(b).String()
}

// EngineID is what the current context's engine calls itself.
func (c *Catalog) EngineID(ctx context.Context) (string, error) {
	info, err := engine.Inspect(ctx, c.dockerCLI.Client())
	if err != nil {
		return "", err
	}
	if info.ID == "" {
		return "", fmt.Errorf("the engine at %s does not tell its id", c.dockerCLI.DockerEndpoint().Host)
	}
	return info.ID, nil
}
