// Package session holds the commands about sessions.
package session

import (
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// NewCommand returns the group `docker kasm session`.
func NewCommand(dockerCLI command.Cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "session",
		Short:             "Manage sessions",
		Args:              usage.NoArgs,
		RunE:              command.ShowHelp(dockerCLI.Err()),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(
		newListCommand(dockerCLI),
		newInspectCommand(dockerCLI),
		newStatsCommand(dockerCLI),
		newOpenCommand(dockerCLI),
		newExecCommand(dockerCLI),
		newLogsCommand(dockerCLI),
		newDiffCommand(dockerCLI),
		newStopCommand(dockerCLI),
		newPauseCommand(dockerCLI),
		newStartCommand(dockerCLI),
		newRemoveCommand(dockerCLI),
		newExtendCommand(dockerCLI),
		newAdoptCommand(dockerCLI),
		newReleaseCommand(dockerCLI),
	)
	return cmd
}

// NewShortForms returns the commands that can be typed without `session`.
func NewShortForms(dockerCLI command.Cli) []*cobra.Command {
	ls := newListCommand(dockerCLI)
	ls.Aliases = append(ls.Aliases, "ps")
	rm := newRemoveCommand(dockerCLI)
	return []*cobra.Command{
		ls, newInspectCommand(dockerCLI), newStatsCommand(dockerCLI), newOpenCommand(dockerCLI), newExecCommand(dockerCLI), newLogsCommand(dockerCLI), newDiffCommand(dockerCLI), newStopCommand(dockerCLI), newPauseCommand(dockerCLI), newStartCommand(dockerCLI), rm,
	}
}
