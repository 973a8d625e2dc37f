package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

func newStopCommand(dockerCLI command.Cli) *cobra.Command {
	var timeout int
	var where contexts.Options
	var force bool
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] SESSION [SESSION...]",
		Short: "Stop one or more sessions, keeping their disks",
		Long: `Stop sessions. The disk stays as it is; programs have to be started again. A
paused session is resumed first, so that it can shut down cleanly. The
workspace's before_stop hook runs in each session first, and its output is shown;
one that fails or takes too long does not keep the session running. One that was
launched with --rm is deleted with all that is not in named volumes.

A session that is managed by Kasm is asked about first: its server will see what is
done, and may act against it.` + helpCertainly,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var wait *int
			if cmd.Flags().Changed("timeout") {
				wait = &timeout
			}
			return each(cmd.Context(), dockerCLI, &where, args, askForKasm(cmd.Context(), dockerCLI, "stopped", force), func(ctx context.Context, dockerCLI command.Cli, s session.Session) error {
				err := session.StopSession(ctx, dockerCLI.Client(), s, stopOptions(ctx, dockerCLI, s, wait))
				if err != nil || !s.Remove {
					return err
				}
				if err := session.AwaitRemoved(ctx, dockerCLI.Client(), s); err != nil {
					return err
				}
				fmt.Fprintf(lineWriter{dockerCLI.Err(), display.Line(contexts.Label(dockerCLI, s.Name))}, "deleted, as it was launched with --rm")
				return nil
			})
		},
		ValidArgsFunction: completeIn(dockerCLI, &where, session.Stop),
	}
	where.Install(cmd, dockerCLI)
	forceFlag(cmd, &force)
	cmd.Flags().IntVarP(&timeout, "timeout", "t", 0, "Seconds to wait before killing the session")
	_ = cmd.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions)
	return cmd
}

// stopOptions have the hook of the session's workspace; none when it has no
// workspace here.
func stopOptions(ctx context.Context, dockerCLI command.Cli, s session.Session, timeout *int) session.StopOptions {
	out := lineWriter{dockerCLI.Err(), display.Line(contexts.Label(dockerCLI, s.Name))}
	opts := session.StopOptions{Timeout: timeout, Warn: func(err error) { fmt.Fprintf(out, "warning: %s", err) }}
	if s.Workspace == "" {
		return opts
	}
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		opts.Warn(err)
		return opts
	}
	defer where.Close()
	ws, err := where.GetIn(ctx, s.Scope, s.Workspace)
	switch {
	case err == nil:
		opts.Hook = session.Hook{Name: "before_stop", Command: ws.Hooks.BeforeStop, Timeout: time.Duration(ws.Hooks.Timeout), Output: out}
	case !errors.Is(err, workspace.ErrNotFound):
		opts.Warn(fmt.Errorf("its workspace cannot be read, so no before_stop hook is run: %w", err))
	}
	return opts
}

// lineWriter writes each line with the name of the session it is about, as
// several of them may write at the same time.
type lineWriter struct {
	out  io.Writer
	name string
}

func (w lineWriter) Write(p []byte) (int, error) {
	var text strings.Builder
	for line := range strings.Lines(string(p)) {
		fmt.Fprintf(&text, "%s: %s\n", w.name, display.Line(strings.TrimRight(line, "\r\n")))
	}
	if _, err := io.WriteString(w.out, text.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}
