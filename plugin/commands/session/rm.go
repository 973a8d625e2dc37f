package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/progress"
	"github.com/docker-kasm/docker-kasm/plugin/commands/prompt"
)

// CompleteCommit completes the arguments of `commit`: a session, then an image.
func CompleteCommit(dockerCLI completion.APIClientProvider) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return completeNames(dockerCLI, session.Commit)(cmd, args, toComplete)
		case 1:
			return completion.ImageNames(dockerCLI, 2)(cmd, args, toComplete)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

type removeOptions struct {
	force, snapshot bool
	where           contexts.Options
}

func newRemoveCommand(dockerCLI command.Cli) *cobra.Command {
	var options removeOptions
	cmd := &cobra.Command{
		Use:     "rm [OPTIONS] SESSION [SESSION...]",
		Aliases: []string{"remove", "delete"},
		Short:   "Delete one or more sessions",
		Long: `Delete sessions, running ones too. What was written to a session's own disk is
lost; named volumes stay. With --snapshot an image and a workspace are made of
each session first. The session is held still meanwhile, so that nothing it writes
to its disk is lost, and its volumes without a name stay as well. One whose
snapshot fails is not deleted, and goes on.` + helpCertainly,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRemove(cmd.Context(), dockerCLI, args, &options)
		},
		ValidArgsFunction: completeIn(dockerCLI, &options.where, session.Delete),
	}
	options.where.Install(cmd, dockerCLI)
	flags := cmd.Flags()
	flags.BoolVarP(&options.force, "force", "f", false, "Do not ask for confirmation")
	flags.BoolVar(&options.snapshot, "snapshot", false, "Make a snapshot of each session before it is deleted")
	return cmd
}

func runRemove(ctx context.Context, dockerCLI command.Cli, names []string, options *removeOptions) error {
	act := func(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
		return session.DeleteSession(ctx, dockerCLI.Client(), s, session.DeleteOptions{})
	}
	if options.snapshot {
		act = snapshotAndDelete
	}
	if !options.where.Several() {
		if err := confirmRemove(ctx, dockerCLI, names, options); err != nil {
			return err
		}
		return each(ctx, dockerCLI, &options.where, names, act)
	}
	// Which sessions are meant, and where they are, is known only when they are found.
	found, err := find(ctx, dockerCLI, &options.where, names, certainly)
	if err != nil {
		return err
	}
	defer found.close()
	var labels []string
	for _, t := range found.targets {
		if t.err == nil {
			labels = append(labels, t.label())
		}
	}
	if len(labels) > 0 {
		if err := confirmRemove(ctx, dockerCLI, labels, options); err != nil {
			return errors.Join(err, found.err)
		}
	}
	return errors.Join(do(ctx, dockerCLI, found.targets, act), found.err)
}

func confirmRemove(ctx context.Context, dockerCLI command.Cli, names []string, options *removeOptions) error {
	if options.force {
		return nil
	}
	what := "with all that was written to its disk"
	if options.snapshot {
		what = "after a snapshot of it"
	}
	return prompt.Confirm(ctx, dockerCLI, prompt.Texts{
		Warning:    fmt.Sprintf("This will delete %s, %s.", display.Line(strings.Join(names, ", ")), what),
		NoTerminal: "deleting a session loses what was written to its disk: give --force where nobody can be asked",
		Declined:   "nothing was deleted",
	})
}

func snapshotAndDelete(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
	view, err := progress.New("plain", dockerCLI.Err())
	if err != nil {
		return err
	}
	defer view.Close()
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	result, err := pipeline.New(dockerCLI, where, view.Event).Run(ctx, snapshot.Request{Session: s.ID, Prefix: pipeline.Prefix(dockerCLI), Delete: true})
	if result.ImageID != "" {
		workspace := "no workspace"
		if result.Workspace != "" {
			workspace = "workspace " + result.Workspace
		}
		fmt.Fprintf(dockerCLI.Err(), "%s: kept as %s, %s\n", contexts.Label(dockerCLI, s.Name), result.Image, workspace)
	}
	if err != nil {
		return fmt.Errorf("session %q is not deleted: %w", s.Name, err)
	}
	return nil
}
