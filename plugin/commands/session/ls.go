package session

import (
	"context"
	"errors"
	"slices"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/docker/cli/opts"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type listOptions struct {
	all, quiet, noTrunc, size bool
	format                    string
	filter                    opts.FilterOpt
}

func newListCommand(dockerCLI command.Cli) *cobra.Command {
	options := listOptions{filter: opts.NewFilterOpt()}
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List sessions",
		Long: `List the sessions that are running or paused; with --all those too that were
never started, are stopped or have failed.

A session is a container that ` + "`docker kasm run`" + ` launched, that a Kasm agent made,
or that was started by hand from a Kasm image.`,
		Example: `  docker kasm ls --all --filter state=failed
  docker kasm ls --filter workspace=firefox --format json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runList(cmd.Context(), dockerCLI, options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.all, "all", "a", false, "Show all sessions (default shows just running and paused)")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Only display container IDs")
	flags.BoolVar(&options.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.BoolVarP(&options.size, "size", "s", false, "Display what each session has written to its disk")
	flags.StringVar(&options.format, "format", "", flagsHelper.FormatHelp)
	flags.VarP(&options.filter, "filter", "f", `Filter output based on conditions provided: state, workspace, user, kind, and those of "docker ps"`)
	_ = cmd.RegisterFlagCompletionFunc("filter", completeFilter)
	_ = cmd.RegisterFlagCompletionFunc("format", completeFormat)
	return cmd
}

func completeFilter(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	words := []string{"user=", "workspace=", "name=", "label=", "ancestor="}
	for _, s := range session.States() {
		words = append(words, "state="+string(s))
	}
	for _, k := range []session.Kind{session.Managed, session.Agent, session.Image} {
		words = append(words, "kind="+string(k))
	}
	slices.Sort(words)
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func completeFormat(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"json", "table"}, cobra.ShellCompDirectiveNoFileComp
}

func runList(ctx context.Context, dockerCLI command.Cli, options listOptions) error {
	// A template that shows sizes needs them, as with `docker ps`.
	format := newFormat(options.format, options.quiet, options.size)
	size := options.size || format.Contains(".Size")
	sessions, err := session.List(ctx, dockerCLI.Client(), session.ListOptions{
		All: options.all, Size: size, Filters: options.filter.Value(),
	})
	var badFilter *session.FilterError
	if errors.As(err, &badFilter) {
		return usage.Error(err)
	}
	if err != nil {
		return err
	}
	return write(formatter.Context{Output: display.Writer(dockerCLI.Out()), Format: format, Trunc: !options.noTrunc}, sessions)
}
