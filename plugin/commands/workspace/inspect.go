package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/inspect"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/docker/cli/templates"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

func newInspectCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "inspect [OPTIONS] WORKSPACE [WORKSPACE...]",
		Aliases: []string{"view"},
		Short:   "Show everything about one or more workspaces",
		Args:    cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), dockerCLI, args, format)
		},
		ValidArgsFunction: CompleteNames(0),
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", flagsHelper.InspectFormatHelp)
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

func runInspect(ctx context.Context, dockerCLI command.Cli, names []string, format string) error {
	out := display.Writer(dockerCLI.Out())
	if format != "" && format != "json" {
		if _, err := templates.Parse(format); err != nil {
			return usage.Error(fmt.Errorf("template parsing error: %w", err))
		}
	}
	user := catalog.User()
	auth := func(ref string) (string, error) { return pipeline.EncodedAuth(dockerCLI, ref) }
	var found []any
	var errs []error
	for _, name := range names {
		ws, err := user.Get(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		one := inspected{Name: ws.Name, Workspace: ws, Availability: availability.Unknown}
		status, err := availability.Check(ctx, dockerCLI.Client(), auth, []*workspace.Workspace{ws})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			one.Reason = err.Error()
		} else {
			one.Availability, one.Reason = status[name].State, status[name].Reason
		}
		found = append(found, one)
	}
	if format == "json" {
		enc := json.NewEncoder(out)
		for _, one := range found {
			if err := enc.Encode(one); err != nil {
				return err
			}
		}
		return errors.Join(errs...)
	}
	next := 0
	refs := make([]string, len(found))
	err := inspect.Inspect(out, refs, format, func(string) (any, []byte, error) {
		next++
		return found[next-1], nil, nil
	})
	return errors.Join(append(errs, err)...)
}
