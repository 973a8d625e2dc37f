package session

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
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
lost, and so are its volumes without a name; named volumes stay. With --snapshot an
image and a workspace are made of each session first. The session is held still
meanwhile, so that nothing it writes to its disk is lost, and its volumes without a
name stay as well. One whose snapshot fails is not deleted, and goes on.

An adopted session is deleted with its container; ` + "`docker kasm session release`" + `
takes back only that it was adopted. Of a session of a server workspace there is the
record only: its machine is not touched.` + helpCertainly,
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
	act := deleteSession
	if options.snapshot {
		act = snapshotAndDelete
	}
	// Which sessions are meant, and what they are, is known only when they are found.
	allow := func(targets []target) (bool, error) {
		if options.force || len(targets) == 0 {
			return false, nil
		}
		return true, prompt.Confirm(ctx, dockerCLI, deletion(targets, options.snapshot))
	}
	return each(ctx, dockerCLI, &options.where, names, allow, act)
}

// deletion is what is said before sessions are deleted.
func deletion(targets []target, snapshot bool) prompt.Texts {
	var boxes, adopted, records, lines []string
	for _, t := range targets {
		if t.session.Kind == session.Server {
			records = append(records, display.Line(t.label()))
			continue
		}
		boxes = append(boxes, display.Line(t.label()))
		if t.session.Kind == session.Adopted {
			adopted = append(adopted, display.Line(t.label()))
		}
	}
	what, lost := "with all that was written to its disk and to its volumes without a name", "deleting a session loses what was written to its disk"
	if snapshot {
		what = "after a snapshot of it"
	}
	if len(boxes) == 0 {
		lost = "a session is deleted only if that is certain"
	}
	if len(boxes) > 0 {
		lines = append(lines, fmt.Sprintf("This will delete %s, %s.", strings.Join(boxes, ", "), what))
	}
	if len(records) > 0 {
		lines = append(lines, fmt.Sprintf("This will delete %s; its machine is not touched.", strings.Join(records, ", ")))
	}
	if len(adopted) > 0 {
		lines = append(lines, fmt.Sprintf("Adopted: %s. `docker kasm session release` takes the adoption back, and keeps the container.", strings.Join(adopted, ", ")))
	}
	if warning := ofKasm(targets); warning != "" {
		lines = append(lines, warning)
	}
	return prompt.Texts{
		Warning:    strings.Join(lines, "\n"),
		NoTerminal: lost + ": give --force where nobody can be asked",
		Declined:   "nothing was deleted",
	}
}

func deleteSession(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
	if s.Kind != session.Server {
		if err := session.DeleteSession(ctx, dockerCLI.Client(), s, session.DeleteOptions{}); err != nil {
			return err
		}
	}
	return forget(ctx, dockerCLI, s)
}

// forget removes the record of a session that has one.
func forget(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
	if s.Record == nil {
		return nil
	}
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	return where.RemoveRecord(ctx, *s.Record)
}

func snapshotAndDelete(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
	if err := s.Check(session.Commit); err != nil {
		return err
	}
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
	return forget(ctx, dockerCLI, s)
}
