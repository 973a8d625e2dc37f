// Package workspace holds the commands about the catalog of workspaces.
package workspace

import (
	"slices"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// NewCommand returns the group `docker kasm workspace`.
func NewCommand(dockerCLI command.Cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "workspace",
		Short:             "Manage workspaces: what can be launched",
		Args:              usage.NoArgs,
		RunE:              command.ShowHelp(dockerCLI.Err()),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(
		newListCommand(dockerCLI),
		newInspectCommand(dockerCLI),
		newCreateCommand(dockerCLI),
		newUpdateCommand(dockerCLI),
		newEditCommand(dockerCLI),
		newRemoveCommand(dockerCLI),
		newCheckCommand(dockerCLI),
		newExportCommand(dockerCLI),
		newImportCommand(dockerCLI),
	)
	return cmd
}

// whereItIs is what --scope of commands on existing workspaces falls back to.
const whereItIs = "where it is, first the user's"

// CompleteNames completes up to limit names of workspaces; 0 means any number.
// Files that cannot be read are passed over.
func CompleteNames(dockerCLI command.Cli, limit int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if limit > 0 && len(args) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := connect.Completing(cmd)
		defer cancel()
		where, err := catalog.Open(dockerCLI, catalog.Any)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer where.Close()
		list, _ := where.List(ctx)
		var names []string
		for _, ws := range list {
			if !slices.Contains(args, ws.Name) {
				names = append(names, cobra.CompletionWithDesc(ws.Name, ws.DisplayName()))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
