package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

func newInspectCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "inspect [OPTIONS] SESSION [SESSION...]",
		Aliases: []string{"view"},
		Short:   "Show everything about one or more sessions",
		Long: `Show a session's workspace, image, state and since when, address, mounts, what
it uses and has written, when it expires, and what can be done with it now.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), dockerCLI, args, format)
		},
		ValidArgsFunction: completeNames(dockerCLI, session.View),
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", output.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runInspect(ctx context.Context, dockerCLI command.Cli, names []string, format string) error {
	show, err := output.New(format, writeDetails)
	if err != nil {
		return err
	}
	found, err := session.FindAll(ctx, dockerCLI.Client(), names)
	if err != nil {
		return err
	}
	out := display.Writer(dockerCLI.Out())
	var errs []error
	shown := 0
	for _, f := range found {
		if f.Err != nil {
			errs = append(errs, f.Err)
			continue
		}
		d, err := session.Inspect(ctx, dockerCLI.Client(), f.Session)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if d.Scope == session.ScopeEngine {
			// One that does not answer, or not yet, leaves what the label says.
			if e, err := expiry(ctx, dockerCLI, f.Session); err == nil && !e.Expires.IsZero() {
				d.Expires = e.Expires
			}
		}
		if shown++; shown > 1 && format == "" {
			fmt.Fprintln(out)
		}
		if err := show(out, d); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
