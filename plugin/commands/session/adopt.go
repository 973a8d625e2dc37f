package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
	workspacecmd "github.com/docker-kasm/docker-kasm/plugin/commands/workspace"
)

type adoptOptions struct{ workspace, scope string }

func newAdoptCommand(dockerCLI command.Cli) *cobra.Command {
	var options adoptOptions
	cmd := &cobra.Command{
		Use:   "adopt [OPTIONS] CONTAINER",
		Short: "Make a session of a container that is there",
		Long: `Make a session of a container that was started by other means, such as docker run
or docker compose. From then on all commands take it as a session of the workspace:
its before_stop hook runs before a stop, and a snapshot inherits its settings. The
container itself is not touched, and goes on.

Labels cannot be added to a container, so this is recorded beside the workspace: in
your own files, or, for a workspace of the engine's catalog, by the helper, where
everyone on the engine sees it. The record goes when the container is removed, or by
` + "`docker kasm session release`" + `. The lifetime of a workspace does not apply to what was
adopted. Where all that is wanted is an image, ` + "`docker kasm commit`" + ` takes any
container as it is.`,
		Example: `  docker kasm session adopt --workspace firefox my-container`,
		Args:    cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if options.workspace == "" {
				return usage.Error(errors.New("--workspace is missing: it says which workspace the container is to be a session of"))
			}
			return runAdopt(cmd.Context(), dockerCLI, args[0], options)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeWhere(dockerCLI, func(s session.Session) bool { return adoptable(s) == nil })(cmd, args, toComplete)
		},
	}
	cmd.Flags().StringVarP(&options.workspace, "workspace", "w", "", "Workspace that the container is to be a session of")
	catalog.ScopeFlag(cmd, &options.scope, "where the workspace is, first the user's")
	_ = cmd.RegisterFlagCompletionFunc("workspace", workspacecmd.CompleteNames(dockerCLI, 0))
	return cmd
}

func runAdopt(ctx context.Context, dockerCLI command.Cli, name string, options adoptOptions) error {
	where, err := catalog.Open(dockerCLI, options.scope)
	if err != nil {
		return err
	}
	defer where.Close()
	ws, err := where.Get(ctx, options.workspace)
	if err != nil {
		return err
	}
	if ws.Type != workspace.TypeContainer {
		return fmt.Errorf("cannot adopt %q for workspace %q: that is a %s workspace, and only container-based workspaces have containers", name, ws.Name, ws.Type)
	}
	// All records count, whatever catalog this one is for.
	s, err := findOne(ctx, dockerCLI, name, session.AnyContainer())
	if err != nil {
		var missing *session.NotFoundError
		if errors.As(err, &missing) {
			return fmt.Errorf("no container %q: `docker ps -a` lists them all", name)
		}
		return err
	}
	if err := adoptable(s); err != nil {
		return err
	}
	engine, err := where.EngineID(ctx)
	if err != nil {
		return err
	}
	r := roster.Record{
		ID: roster.AdoptedID(engine, s.ID), Kind: roster.Adopted, Name: s.Name, Workspace: ws.Name, Scope: ws.Scope,
		User: connect.UserName(), Created: time.Now().UTC().Truncate(time.Second), Container: s.ID, Engine: engine,
		Host: dockerCLI.DockerEndpoint().Host, Open: ws.Run.Open,
	}
	err = where.AddRecord(ctx, r)
	if errors.Is(err, roster.ErrExists) {
		return fmt.Errorf("cannot adopt %q: it has been adopted meanwhile", s.Name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(dockerCLI.Out(), display.Line(s.Name))
	// Who stops a session means to start it again.
	if c, err := dockerCLI.Client().ContainerInspect(ctx, s.ID); err == nil && c.HostConfig != nil && c.HostConfig.AutoRemove {
		fmt.Fprintf(dockerCLI.Err(), "%s was started with --rm: the engine deletes it once it stops, with all that was written to its disk\n", display.Line(s.Name))
	}
	return nil
}

// adoptable tells why a container cannot be adopted.
func adoptable(s session.Session) error {
	refuse := func(why string) error { return fmt.Errorf("cannot adopt %q: %s", s.Name, why) }
	switch {
	case s.Kind == session.Adopted:
		return refuse(fmt.Sprintf("it is adopted already, for workspace %q: release it first with `docker kasm session release %s`", s.Workspace, s.Name))
	case s.Kind == session.Server:
		return refuse("it is a session of a server workspace, and no container")
	case s.Kind != session.Plain:
		return refuse("it is a session already (" + kindText(s.Kind) + ")")
	case s.Labels[dial.LabelKind] != "":
		return refuse("it is the helper")
	case snapshot.IsTemporary(s.Name, s.Labels):
		return refuse("a snapshot makes layers in it, and removes it then")
	case s.State == session.Deleting:
		return refuse("it is being deleted")
	}
	return nil
}

func newReleaseCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:   "release SESSION [SESSION...]",
		Short: "Take the adoption of one or more sessions back",
		Long: `Take back that containers were adopted. They are not touched, and go on, but are
sessions no more.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, &contexts.Options{}, args, nobodyIsAsked, func(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
				if s.Kind != session.Adopted {
					return fmt.Errorf("cannot release session %q: it was not adopted (%s); `docker kasm rm` deletes it", s.Name, kindText(s.Kind))
				}
				return forget(ctx, dockerCLI, s)
			})
		},
		ValidArgsFunction: completeWhere(dockerCLI, func(s session.Session) bool { return s.Kind == session.Adopted }),
	}
}
