package workspace

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

func newUpdateCommand(dockerCLI command.Cli) *cobra.Command {
	var options settings
	var scope string
	cmd := &cobra.Command{
		Use:   "update [OPTIONS] WORKSPACE [WORKSPACE...]",
		Short: "Change keys of one or more workspaces",
		Long:  `Change single keys of workspace files. Comments and the order of keys stay.`,
		Example: `  docker kasm workspace update --set resources.memory=4g firefox
  docker kasm workspace update --unset lifetime.limit firefox`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			edits, err := options.edits(cmd.Flags())
			if err != nil {
				return usage.Error(err)
			}
			if len(edits) == 0 {
				return usage.Error(errors.New("nothing to change: give --set, --unset or another option"))
			}
			return runUpdate(cmd.Context(), dockerCLI, args, edits, scope)
		},
		ValidArgsFunction: CompleteNames(dockerCLI, 0),
	}
	options.install(dockerCLI, cmd)
	catalog.ScopeFlag(cmd, &scope, whereItIs)
	cmd.Flags().StringArrayVar(&options.unset, "unset", nil, "Remove a key from the workspace file")
	_ = cmd.RegisterFlagCompletionFunc("unset", cobra.FixedCompletions(workspace.Keys(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runUpdate(ctx context.Context, dockerCLI command.Cli, names []string, edits []workspace.Edit, scope string) error {
	where, err := catalog.Open(dockerCLI, scope)
	if err != nil {
		return err
	}
	defer where.Close()
	var errs []error
	for _, name := range names {
		if _, err := where.Update(ctx, name, "", edits); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(dockerCLI.Out(), display.Line(name))
	}
	return errors.Join(errs...)
}
