package session

import (
	"context"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
)

func newStopCommand(dockerCLI command.Cli) *cobra.Command {
	var timeout int
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] SESSION [SESSION...]",
		Short: "Stop one or more sessions, keeping their disks",
		Long: `Stop sessions. The disk stays as it is; programs have to be started again. A
paused session is resumed first, so that it can shut down cleanly. The
workspace's before_stop hook runs in each session that runs.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var wait *int
			if cmd.Flags().Changed("timeout") {
				wait = &timeout
			}
			return each(cmd.Context(), dockerCLI, args, func(ctx context.Context, s session.Session) error {
				return session.StopSession(ctx, dockerCLI.Client(), s, session.StopOptions{Timeout: wait, Hook: stopHook(dockerCLI, s)})
			})
		},
		ValidArgsFunction: completeNames(dockerCLI, session.Stop),
	}
	cmd.Flags().IntVarP(&timeout, "timeout", "t", 0, "Seconds to wait before killing the session")
	return cmd
}

// stopHook is what the session's workspace wants run before a stop; none when
// the session has no workspace here.
func stopHook(dockerCLI command.Cli, s session.Session) session.Hook {
	if s.Workspace == "" {
		return session.Hook{}
	}
	ws, err := catalog.User().Get(s.Workspace)
	if err != nil {
		return session.Hook{}
	}
	return session.Hook{Name: "before_stop", Command: ws.Hooks.BeforeStop, Output: dockerCLI.Err()}
}
