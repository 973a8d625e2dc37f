package session

import (
	"context"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

func newPauseCommand(dockerCLI command.Cli) *cobra.Command {
	var where contexts.Options
	var force bool
	cmd := &cobra.Command{
		Use:   "pause [OPTIONS] SESSION [SESSION...]",
		Short: "Pause one or more sessions, keeping disk, programs and memory",
		Long: `Pause sessions. Disk, programs and memory stay as they are; a paused session
goes on using memory. ` + "`docker kasm start`" + ` resumes it.

A session that is managed by Kasm is asked about first: its server will see what is
done, and may act against it.` + helpCertainly,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, &where, args, askForKasm(cmd.Context(), dockerCLI, "paused", force), func(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
				return session.PauseSession(ctx, dockerCLI.Client(), s)
			})
		},
		ValidArgsFunction: completeIn(dockerCLI, &where, session.Pause),
	}
	where.Install(cmd, dockerCLI)
	forceFlag(cmd, &force)
	return cmd
}
