package session

import (
	"context"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

func newStartCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:     "start SESSION [SESSION...]",
		Aliases: []string{"resume"},
		Short:   "Start stopped sessions, resume paused ones",
		Args:    cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, args, func(ctx context.Context, s session.Session) error {
				return session.StartSession(ctx, dockerCLI.Client(), s)
			})
		},
		ValidArgsFunction: completeNames(dockerCLI, session.Start),
	}
}
