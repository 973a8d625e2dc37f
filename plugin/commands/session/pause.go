package session

import (
	"context"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

func newPauseCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:   "pause SESSION [SESSION...]",
		Short: "Pause one or more sessions, keeping disk, programs and memory",
		Long: `Pause sessions. Disk, programs and memory stay as they are; a paused session
goes on using memory. ` + "`docker kasm start`" + ` resumes it.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, args, func(ctx context.Context, s session.Session) error {
				return session.PauseSession(ctx, dockerCLI.Client(), s)
			})
		},
		ValidArgsFunction: completeNames(dockerCLI, session.Pause),
	}
}
