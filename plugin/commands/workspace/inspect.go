package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

func newInspectCommand(dockerCLI command.Cli) *cobra.Command {
	var format, scope string
	cmd := &cobra.Command{
		Use:     "inspect [OPTIONS] WORKSPACE [WORKSPACE...]",
		Aliases: []string{"view"},
		Short:   "Show everything about one or more workspaces",
		Args:    cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), dockerCLI, args, format, scope)
		},
		ValidArgsFunction: CompleteNames(dockerCLI, 0),
	}
	catalog.ScopeFlag(cmd, &scope, whereItIs)
	cmd.Flags().StringVarP(&format, "format", "f", "", output.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// inspected is a workspace with what is known of its image.
type inspected struct {
	Name string
	*workspace.Workspace
	Availability availability.State
	Reason       string `json:",omitempty"`
}

func runInspect(ctx context.Context, dockerCLI command.Cli, names []string, format, scope string) error {
	show, err := output.New(format, writeIndented)
	if err != nil {
		return err
	}
	out := display.Writer(dockerCLI.Out())
	where, err := catalog.Open(dockerCLI, scope)
	if err != nil {
		return err
	}
	defer where.Close()
	var errs []error
	for _, name := range names {
		ws, err := where.Get(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		one := inspected{Name: ws.Name, Workspace: ws, Availability: availability.Unknown}
		status, err := availabilities(ctx, dockerCLI, dockerCLI.Client(), where, []*workspace.Workspace{ws})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			one.Reason = err.Error()
		} else {
			one.Availability, one.Reason = status[name].State, status[name].Reason
		}
		if err := show(out, one); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func writeIndented(out io.Writer, one inspected) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "    ")
	return enc.Encode(one)
}
