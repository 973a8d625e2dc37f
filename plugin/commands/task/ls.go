package task

import (
	"context"
	"slices"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

type listOptions struct {
	all, quiet, noTrunc bool
	format              string
}

func newListCommand(dockerCLI command.Cli) *cobra.Command {
	var options listOptions
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List tasks",
		Long:    `List the tasks that have not ended, and with --all those that have.`,
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runList(cmd.Context(), dockerCLI, options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.all, "all", "a", false, "Show tasks that have ended too")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Only display task IDs")
	flags.BoolVar(&options.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.StringVar(&options.format, "format", "", flagsHelper.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json", "table"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runList(ctx context.Context, dockerCLI command.Cli, options listOptions) error {
	return with(ctx, dockerCLI, func(client *helperapi.Client) error {
		list, err := client.Tasks(ctx)
		if err != nil {
			return err
		}
		if !options.all {
			list = slices.DeleteFunc(list, func(t task.Task) bool { return t.State.Ended() })
		}
		slices.Reverse(list) // the newest first, as docker ps
		return write(formatter.Context{
			Output: display.Writer(dockerCLI.Out()), Format: newFormat(options.format, options.quiet), Trunc: !options.noTrunc,
		}, list)
	})
}

const defaultTable = "table {{.ID}}\t{{.Kind}}\t{{.Subject}}\t{{.State}}\t{{.Step}}\t{{.RunningFor}}\t{{.Owner}}\t{{.Reason}}"

func newFormat(source string, quiet bool) formatter.Format {
	switch {
	case quiet:
		return "{{.ID}}"
	case source == "" || source == formatter.TableFormatKey:
		return defaultTable
	}
	return formatter.Format(source)
}

type row struct {
	formatter.HeaderContext
	trunc bool
	task  task.Task
}

func write(ctx formatter.Context, list []task.Task) error {
	header := &row{}
	header.Header = formatter.SubHeaderContext{
		"ID": "TASK ID", "Kind": "KIND", "Subject": "SUBJECT", "State": "STATE", "Step": "STEP", "Attempts": "ATTEMPTS",
		"RunningFor": formatter.CreatedSinceHeader, "CreatedAt": formatter.CreatedAtHeader, "EndedAt": "ENDED AT",
		"Owner": "OWNER", "Reason": "REASON",
	}
	return ctx.Write(header, func(format func(formatter.SubContext) error) error {
		for _, t := range list {
			if err := format(&row{trunc: ctx.Trunc, task: t}); err != nil {
				return err
			}
		}
		return nil
	})
}

// MarshalJSON makes one object of all fields, as docker's own tables do.
func (r *row) MarshalJSON() ([]byte, error) { return formatter.MarshalJSON(r) }

func (r *row) ID() string      { return r.task.ID }
func (r *row) Kind() string    { return r.task.Kind }
func (r *row) Subject() string { return r.task.Subject }
func (r *row) State() string   { return string(r.task.State) }
func (r *row) Step() string    { return r.task.Step }
func (r *row) Owner() string   { return r.task.Owner }
func (r *row) Attempts() int   { return r.task.Attempts }

func (r *row) Reason() string {
	if r.trunc {
		return formatter.Ellipsis(r.task.Reason, 60)
	}
	return r.task.Reason
}

func (r *row) RunningFor() string { return units.HumanDuration(time.Since(r.task.Created)) + " ago" }
func (r *row) CreatedAt() string  { return r.task.Created.Format(time.RFC3339) }

func (r *row) EndedAt() string {
	if r.task.Ended.IsZero() {
		return ""
	}
	return r.task.Ended.Format(time.RFC3339)
}
