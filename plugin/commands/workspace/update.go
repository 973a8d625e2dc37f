package workspace

import (
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
			return runUpdate(dockerCLI, args, edits)
		},
		ValidArgsFunction: CompleteNames(0),
	}
	options.install(dockerCLI, cmd)
	cmd.Flags().StringArrayVar(&options.unset, "unset", nil, "Remove a key from the workspace file")
	_ = cmd.RegisterFlagCompletionFunc("unset", cobra.FixedCompletions(workspace.Keys(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runUpdate(dockerCLI command.Cli, names []string, edits []workspace.Edit) error {
	user := catalog.User()
	var errs []error
	for _, name := range names {
		if _, err := user.Update(name, "", edits); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(dockerCLI.Out(), display.Line(name))
	}
	return errors.Join(errs...)
}
