package helper

import (
	"context"
	"errors"
	"fmt"
	"io"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

func newLogsCommand(dockerCLI command.Cli) *cobra.Command {
	var options container.LogsOptions
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS]",
		Short: "Show the helper's log",
		Args:  cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLogs(cmd.Context(), dockerCLI, options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.Follow, "follow", "f", false, "Follow log output")
	flags.StringVar(&options.Since, "since", "", `Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	flags.StringVarP(&options.Tail, "tail", "n", "all", "Number of lines to show from the end of the logs")
	for _, flag := range []string{"since", "tail"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func runLogs(ctx context.Context, dockerCLI command.Cli, options container.LogsOptions) error {
	if err := usage.Logs(options); err != nil {
		return err
	}
	state, err := deploy.Look(ctx, dockerCLI.Client())
	switch {
	case err != nil:
		return err
	case state.Kind == dial.Service:
		return errors.New("the helper of this engine is a service on its host: `journalctl -u kasm-helper` there shows its log")
	case state.Container == nil:
		return dial.ErrNone
	}
	options.ShowStdout, options.ShowStderr = true, true
	logs, err := dockerCLI.Client().ContainerLogs(ctx, state.Container.ID, options)
	if err != nil {
		if cerrdefs.IsNotFound(err) {
			return dial.ErrNone
		}
		return fmt.Errorf("read the helper's log: %w", err)
	}
	defer logs.Close()
	out := display.Writer(dockerCLI.Out())
	_, err = stdcopy.StdCopy(out, out, logs)
	switch {
	case options.Follow && ctx.Err() != nil:
		// The only end there is to following a helper that goes on.
		return cli.StatusError{StatusCode: 130}
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read the helper's log: %w", err)
	}
	return nil
}
