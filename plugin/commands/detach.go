package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/cli/cli/command"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// detach has the helper make a snapshot, and prints the task.
func detach(ctx context.Context, dockerCLI command.Cli, req snapshot.Request) error {
	// A name that cannot be is known before there is a task that fails by it.
	if req.Reference != "" {
		if _, err := pipeline.Host(req.Reference, req.Registry); err != nil {
			return usage.Error(err)
		}
	}
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	client, err := where.Helper(ctx)
	if err != nil {
		return fmt.Errorf("make a snapshot in the background: %w", err)
	}
	s, err := session.Find(ctx, dockerCLI.Client(), req.Session, session.In(where), session.AnyContainer())
	if err != nil {
		return err
	}
	if err := s.Check(session.Commit); err != nil {
		return err
	}
	_, offset := time.Now().Zone()
	n := helperapi.NewTask{Snapshot: &helperapi.Snapshot{
		Session: s.ID, Reference: req.Reference, Registry: req.Registry, Prefix: req.Prefix, Changes: req.Changes.Lines(),
		Author: req.Author, Message: req.Message, NoPause: req.NoPause, Push: req.Push, NoRegister: req.NoRegister,
		FriendlyName: req.FriendlyName, KeepEnv: req.KeepEnv, KeepLabels: req.KeepLabels,
		IncludeMounts: req.IncludeMounts, Flatten: req.Flatten, NoWait: req.NoWait, UTCOffset: offset,
	}}
	if n.Snapshot.Parent, err = parent(ctx, dockerCLI, s, req.NoRegister); err != nil {
		return err
	}
	if req.Push || req.Registry != "" {
		name := req.Reference
		if name == "" {
			// Only its registry counts: the helper makes the name.
			ref, err := imageref.Generator{Prefix: req.Prefix, Now: time.Now()}.Generate(s.Image)
			if err != nil {
				return err
			}
			name = imageref.Familiar(ref)
		}
		if n.Snapshot.RegistryHost, err = pipeline.Host(name, req.Registry); err != nil {
			return err
		}
		if n.Credentials, err = pipeline.Credentials(ctx, dockerCLI, n.Snapshot.RegistryHost); err != nil {
			return err
		}
	}
	t, err := client.SubmitTask(ctx, n)
	if err != nil {
		return err
	}
	fmt.Fprintln(dockerCLI.Out(), t.ID)
	fmt.Fprintf(dockerCLI.Err(), "the helper makes the snapshot of %s: `docker kasm task logs -f %s` follows it\n", display.Line(s.Name), t.ID)
	return nil
}

// parent is the session's workspace if that is in the user's catalog, as far as the
// helper needs it: it journals it. It takes the environment's values from the
// session, and without a registration only the hooks.
func parent(ctx context.Context, dockerCLI command.Cli, s session.Session, noRegister bool) (*helperapi.Workspace, error) {
	if s.Workspace == "" || s.Scope == session.ScopeEngine {
		return nil, nil
	}
	ws, err := catalog.User().Get(ctx, s.Workspace)
	if errors.Is(err, workspace.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		fmt.Fprintln(dockerCLI.Err(), display.Text(fmt.Sprintf("workspace %q of this session cannot be read, its settings are not inherited: %s", s.Workspace, err)))
		return nil, nil
	}
	needed := ws.WithoutValues()
	if noRegister {
		needed = &workspace.Workspace{Type: ws.Type, Image: ws.Image, Hooks: ws.Hooks, Enabled: true}
	}
	text, err := workspace.Encode(needed)
	if err != nil {
		return nil, fmt.Errorf("pass workspace %q on to the helper: %w", s.Workspace, err)
	}
	return &helperapi.Workspace{Name: s.Workspace, Revision: ws.Revision, Text: string(text)}, nil
}
