package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/docker/cli/opts"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type listOptions struct {
	all, quiet, noTrunc, size, watch bool
	format                           string
	filter                           opts.FilterOpt
	where                            contexts.Options
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
or that was started by hand from a Kasm image.

With --watch, the list is shown until it is interrupted, and whenever the engine
tells of a change: on a terminal in its place; elsewhere only the sessions that
changed are printed, and those that are in the list no more with the state "gone".

` + contexts.HelpRows,
		Example: `  docker kasm ls --all --filter state=failed
  docker kasm ls --filter workspace=firefox --format json
  docker kasm ls --all --watch
  docker kasm ls --all-contexts --format '{{.Context}}/{{.Name}}'`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runList(cmd.Context(), dockerCLI, &options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.all, "all", "a", false, "Show all sessions (default shows just running and paused)")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Only display container IDs")
	flags.BoolVar(&options.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.BoolVarP(&options.size, "size", "s", false, "Display what each session has written to its disk")
	flags.BoolVarP(&options.watch, "watch", "w", false, "Show the list again whenever it changes, until interrupted")
	flags.StringVar(&options.format, "format", "", flagsHelper.FormatHelp)
	flags.VarP(&options.filter, "filter", "f", `Filter output based on conditions provided: state, workspace, user, kind, and those of "docker ps"`)
	options.where.Install(cmd, dockerCLI)
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

func runList(ctx context.Context, dockerCLI command.Cli, options *listOptions) error {
	// A template that shows sizes needs them, as with `docker ps`.
	format := newFormat(options.format, options.quiet, options.size)
	if options.watch {
		return watch(ctx, dockerCLI, format, options)
	}
	size := options.size || format.Contains(".Size")
	list := func(ctx context.Context, dockerCLI command.Cli) ([]session.Session, error) {
		return session.List(ctx, dockerCLI.Client(), session.ListOptions{All: options.all, Size: size, Filters: options.filter.Value()})
	}
	out := formatter.Context{Output: display.Writer(dockerCLI.Out()), Format: format, Trunc: !options.noTrunc}
	if options.where.Several() {
		return listSeveral(ctx, dockerCLI, options, out, func(ctx context.Context, c *contexts.Context, answered func()) ([]session.Session, error) {
			if size {
				answered() // the engine reads each session's disk
			}
			return list(ctx, c)
		})
	}
	sessions, err := list(ctx, dockerCLI)
	if err != nil {
		return badFilter(err)
	}
	return write(out, sessions, dockerCLI.CurrentContext())
}

// listSeveral lists the sessions of several contexts.
func listSeveral(ctx context.Context, dockerCLI command.Cli, options *listOptions, out formatter.Context,
	list func(context.Context, *contexts.Context, func()) ([]session.Session, error),
) error {
	set, err := options.where.Open(dockerCLI)
	if err != nil {
		return err
	}
	defer set.Close()
	answers := contexts.Ask(ctx, set, list)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, a := range answers {
		if err := badFilter(a.Err); err != a.Err { //nolint:errorlint // is it another one
			return err
		}
	}
	table := contexts.Table{Context: out, Header: contexts.Header(header())}
	if strings.HasPrefix(string(out.Format), defaultTable) {
		table.Format, table.Second = contexts.First(out.Format), "ID"
	}
	return contexts.Write(table, answers, func(a contexts.Answer[[]session.Session]) []formatter.SubContext {
		rows := make([]formatter.SubContext, len(a.Result))
		for i, s := range a.Result {
			rows[i] = &contextRow{row: row{trunc: out.Trunc, s: s}, context: a.Context.CurrentContext()}
		}
		return rows
	})
}

// badFilter marks an error about a filter as wrong usage.
func badFilter(err error) error {
	var bad *session.FilterError
	if errors.As(err, &bad) {
		return usage.Error(err)
	}
	return err
}
