package task

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/plugin/commands/progress"
)

type logOptions struct{ follow, timestamps bool }

func newLogsCommand(dockerCLI command.Cli) *cobra.Command {
	var options logOptions
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] TASK",
		Short: "Show the log of a task",
		Long: `Show the log of a task: its steps, what the engine and the registry said, and at
its end why it failed. With --follow it goes on until the task has ended.`,
		Args: cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogs(cmd.Context(), dockerCLI, args[0], options)
		},
		ValidArgsFunction: completeIDs(dockerCLI, 1, whatever),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.follow, "follow", "f", false, "Follow log output")
	flags.BoolVarP(&options.timestamps, "timestamps", "t", false, "Show timestamps")
	return cmd
}

func runLogs(ctx context.Context, dockerCLI command.Cli, id string, options logOptions) error {
	return with(ctx, dockerCLI, func(client *helperapi.Client) error {
		layers := progress.Layers(dockerCLI.Err(), dockerCLI.Err().IsTerminal())
		defer layers.Flush()
		for line, err := range client.TaskLog(ctx, id, options.follow) {
			if err != nil && options.follow && ctx.Err() != nil {
				return cli.StatusError{StatusCode: 130} // the task goes on
			}
			if err != nil {
				return err
			}
			if line.Level == task.Progress {
				var m jsonmessage.JSONMessage
				if json.Unmarshal(line.Progress, &m) == nil {
					layers.Show(m)
				}
				continue
			}
			layers.Flush()
			writeLine(dockerCLI.Out(), line, options.timestamps)
		}
		return nil
	})
}

func writeLine(out io.Writer, line task.Line, timestamps bool) {
	if timestamps {
		fmt.Fprint(out, line.Time.Local().Format(time.RFC3339), " ")
	}
	message := line.Message
	switch line.Level {
	case task.Begins:
		message = "begins"
	case task.Warning, task.Error:
		message = string(line.Level) + ": " + message
	case task.Info, task.Progress:
	}
	fmt.Fprintf(out, "%-10s %s\n", display.Line(line.Step), display.Line(message))
}
