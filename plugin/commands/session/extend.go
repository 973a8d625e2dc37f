package session

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

func newExtendCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:   "extend SESSION DURATION",
		Short: "Put the end of a session's lifetime off",
		Long: `Put the end of a session's lifetime off, by a duration such as 2h or 30m from when
it would end, or from now if it is idle. The helper keeps the lifetimes of sessions
that were launched from the engine's catalog.`,
		Example: `  docker kasm session extend firefox-3f9a1c 2h`,
		Args:    cli.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := time.ParseDuration(args[1])
			if err != nil || by < time.Second {
				return usage.Error(fmt.Errorf("invalid duration %q: write it like 2h or 30m", args[1]))
			}
			return runExtend(cmd.Context(), dockerCLI, args[0], by)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeWhere(dockerCLI, func(s session.Session) bool {
				return s.Kind == session.Managed && s.Scope == session.ScopeEngine
			})(cmd, args, toComplete)
		},
	}
}

func runExtend(ctx context.Context, dockerCLI command.Cli, name string, by time.Duration) error {
	s, err := findOne(ctx, dockerCLI, name)
	if err != nil {
		return err
	}
	if s.Kind != session.Managed || s.Scope != session.ScopeEngine {
		return fmt.Errorf("session %q was not launched from the engine's catalog: only the lifetimes of those end", s.Name)
	}
	client, err := connect.Helper(ctx, dockerCLI)
	if err != nil {
		return err
	}
	defer client.Close()
	e, err := client.Extend(ctx, s.ID, by)
	if err != nil {
		return err
	}
	fmt.Fprintf(dockerCLI.Out(), "%s\n", s.Name)
	fmt.Fprintf(dockerCLI.Err(), "it ends at %s at the earliest\n", e.Expires.Local().Format(time.DateTime))
	return nil
}

// expiry asks the helper when a session's lifetime ends: what its label says may
// have been put off since.
func expiry(ctx context.Context, dockerCLI command.Cli, s session.Session) (helperapi.Expiry, error) {
	client, err := connect.Helper(ctx, dockerCLI)
	if err != nil {
		return helperapi.Expiry{}, err
	}
	defer client.Close()
	return client.Expiry(ctx, s.ID)
}
