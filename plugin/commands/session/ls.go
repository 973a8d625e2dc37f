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
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
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
that was started by hand from a Kasm image, or that was adopted. Sessions of server
workspaces are listed as well, with the state "external", whatever their machine
does. Where there are some that this plugin has not launched, a column tells the kind
of each.

With --watch, the list is shown until it is interrupted, and whenever an engine or
your records of sessions tell of a change: on a terminal in its place; elsewhere only
the sessions that changed are printed, and those that are in the list no more with the
state "gone". What others adopt or launch from the engine's catalog is seen with the
next change. Contexts that fail are tried again.

` + contexts.HelpRows,
		Example: `  docker kasm ls --all --filter state=failed
  docker kasm ls --filter workspace=firefox --format json
  docker kasm ls --all --watch --all-contexts
  docker kasm ls --filter kind=agent
  docker kasm ls --all-contexts --format '{{.Context}}/{{.Name}}'`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runList(cmd.Context(), dockerCLI, &options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.all, "all", "a", false, "Show all sessions (default shows just running and paused)")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Only display IDs")
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
	for _, k := range session.Kinds() {
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
	format := newFormat(options.format, options.quiet, options.size, false)
	size := options.size || format.Contains(".Size")
	// So does one that shows the users of sessions that Kasm has made.
	users := shows(format, "User") || options.filter.Value().Contains("user")
	wanted := func(ctx context.Context, dockerCLI command.Cli) session.ListOptions {
		o := session.ListOptions{All: options.all, Size: size, Filters: options.filter.Value(), ByImage: catalog.ByImage(ctx)}
		if users {
			o.Inspect = dockerCLI.Client().ContainerInspect
		}
		return o
	}
	if options.watch {
		return watch(ctx, dockerCLI, options, size, wanted)
	}
	list := func(ctx context.Context, dockerCLI command.Cli) ([]session.Session, error) {
		return list(ctx, dockerCLI, wanted(ctx, dockerCLI))
	}
	out := formatter.Context{Output: display.Writer(dockerCLI.Out()), Format: format, Trunc: !options.noTrunc}
	if options.where.Several() {
		return listSeveral(ctx, dockerCLI, options, out, func(ctx context.Context, c *contexts.Context, answered func()) (listed, error) {
			if size {
				answered() // the engine reads each session's disk
			}
			sessions, err := list(ctx, c)
			if session.Silent(err) || badFilter(err) != err { //nolint:errorlint // is it another one
				return listed{}, err
			}
			return listed{sessions, err}, nil
		})
	}
	sessions, err := list(ctx, dockerCLI)
	if err != nil && len(sessions) == 0 {
		return badFilter(err)
	}
	out.Format = newFormat(options.format, options.quiet, options.size, foreign(sessions))
	return errors.Join(write(out, sessions, dockerCLI.CurrentContext()), err)
}

// badFilter marks an error about a filter as wrong usage.
func badFilter(err error) error {
	var bad *session.FilterError
	if errors.As(err, &bad) {
		return usage.Error(err)
	}
	return err
}
