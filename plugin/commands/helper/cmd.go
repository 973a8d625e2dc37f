// Package helper holds the commands about the helper of an engine.
package helper

import (
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// NewCommand returns the group `docker kasm helper`.
func NewCommand(dockerCLI command.Cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "helper",
		Short: "Manage the helper: what everyone on this engine shares",
		Long: `The helper is a small daemon beside the engine. It keeps workspaces that everyone
who uses the engine shares, and does what has to go on while nobody is logged in.
All else works without it.

It may do with the engine whatever its socket allows, and so may everyone who
reaches the helper: that is everyone who reaches the engine, as before.`,
		Args:              usage.NoArgs,
		RunE:              command.ShowHelp(dockerCLI.Err()),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(
		newInstallCommand(dockerCLI),
		newStatusCommand(dockerCLI),
		newLogsCommand(dockerCLI),
		newUpgradeCommand(dockerCLI),
		newUninstallCommand(dockerCLI),
	)
	return cmd
}
