package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

func newLogsCommand(dockerCLI command.Cli) *cobra.Command {
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true}
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] SESSION",
		Short: "Show the logs of a session",
		Long: `Show what a session has written to its standard output and error, also when it
does not run any more.

All of it is passed on as it is, colours and other control sequences included, as
"docker logs" does. To look at the logs of a session that you do not trust, make them
harmless to your terminal first: docker kasm logs SESSION 2>&1 | cat -v`,
		Example: `  docker kasm logs -f --tail 20 firefox-3f9a1c`,
		Args:    cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogs(cmd.Context(), dockerCLI, args[0], options)
		},
		ValidArgsFunction: completeFirst(dockerCLI, session.Logs),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.Follow, "follow", "f", false, "Follow log output")
	flags.StringVar(&options.Since, "since", "", `Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	flags.StringVar(&options.Until, "until", "", `Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	flags.BoolVarP(&options.Timestamps, "timestamps", "t", false, "Show timestamps")
	flags.BoolVar(&options.Details, "details", false, "Show extra details provided to logs")
	flags.StringVarP(&options.Tail, "tail", "n", "all", "Number of lines to show from the end of the logs")
	for _, flag := range []string{"since", "until", "tail"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func runLogs(ctx context.Context, dockerCLI command.Cli, name string, options container.LogsOptions) error {
	if err := usage.Logs(options); err != nil {
		return err
	}
	s, err := findOne(ctx, dockerCLI, name)
	if err != nil {
		return err
	}
	if err := s.Check(session.Logs); err != nil {
		return err
	}
	c, err := dockerCLI.Client().ContainerInspect(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("inspect session %q: %w", s.Name, err)
	}
	logs, err := dockerCLI.Client().ContainerLogs(ctx, s.ID, options)
	if err != nil {
		return fmt.Errorf("read the logs of session %q: %w", s.Name, err)
	}
	defer logs.Close()
	if c.Config != nil && c.Config.Tty {
		_, err = io.Copy(dockerCLI.Out(), logs)
	} else {
		_, err = stdcopy.StdCopy(dockerCLI.Out(), dockerCLI.Err(), logs)
	}
	switch {
	case ctx.Err() != nil:
		// The only end there is to following a session that goes on.
		return cli.StatusError{StatusCode: 130}
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read the logs of session %q: %w", s.Name, err)
	}
	return nil
}
