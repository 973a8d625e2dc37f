package task

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

func newInspectCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "inspect [OPTIONS] TASK [TASK...]",
		Aliases: []string{"view"},
		Short:   "Show everything about one or more tasks",
		Args:    cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), dockerCLI, args, format)
		},
		ValidArgsFunction: completeIDs(dockerCLI, 0, whatever),
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", output.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runInspect(ctx context.Context, dockerCLI command.Cli, ids []string, format string) error {
	show, err := output.New(format, writeIndented)
	if err != nil {
		return err
	}
	return with(ctx, dockerCLI, func(client *helperapi.Client) error {
		var errs []error
		for _, id := range ids {
			t, err := client.Task(ctx, id)
			if err == nil {
				err = show(display.Writer(dockerCLI.Out()), t)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func writeIndented(out io.Writer, t task.Task) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "    ")
	return enc.Encode(t)
}
