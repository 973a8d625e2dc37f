package session

import (
	"context"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

func newStartCommand(dockerCLI command.Cli) *cobra.Command {
	var where contexts.Options
	var force bool
	cmd := &cobra.Command{
		Use:     "start [OPTIONS] SESSION [SESSION...]",
		Aliases: []string{"resume"},
		Short:   "Start stopped sessions, resume paused ones",
		Long: `Start sessions that are stopped, and resume those that are paused.

A session that is managed by Kasm is asked about first: its server will see what is
done, and may act against it.` + helpCertainly,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, &where, args, askForKasm(cmd.Context(), dockerCLI, "started", force), func(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
				return session.StartSession(ctx, dockerCLI.Client(), s)
			})
		},
		ValidArgsFunction: completeIn(dockerCLI, &where, session.Start),
	}
	where.Install(cmd, dockerCLI)
	forceFlag(cmd, &force)
	return cmd
}
