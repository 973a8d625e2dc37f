package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/docker/docker/api/types/image"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type listOptions struct {
	quiet, noTrunc, all bool
	watch               bool
	format, scope       string
	where               contexts.Options
}

func newListCommand(dockerCLI command.Cli) *cobra.Command {
	var options listOptions
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List workspaces: the launcher",
		Long: `List the workspaces that can be launched, and whether the image of each is
available on this engine or, where it is not, in its registry.

` + contexts.HelpRows,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runList(cmd.Context(), dockerCLI, &options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.all, "all", "a", false, "Show disabled workspaces too")
	catalog.ScopeFlag(cmd, &options.scope, "both")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Only display names")
	flags.BoolVarP(&options.watch, "watch", "w", false, "Show the list again whenever it changes, until interrupted; needs the helper")
	flags.BoolVar(&options.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.StringVar(&options.format, "format", "", flagsHelper.FormatHelp)
	options.where.Install(cmd, dockerCLI)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json", "table"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runList(ctx context.Context, dockerCLI command.Cli, options *listOptions) error {
	if options.where.Several() {
		if options.watch {
			return usage.Error(errors.New("conflicting options: --watch shows the current context only"))
		}
		return showSeveral(ctx, dockerCLI, options)
	}
	where, err := catalog.Open(dockerCLI, options.scope)
	if err != nil {
		return err
	}
	defer where.Close()
	if options.watch {
		return watch(ctx, dockerCLI, where, options)
	}
	return show(ctx, dockerCLI, where, options)
}

// launcher is the list of workspaces as one context has it.
type launcher struct {
	list   []*workspace.Workspace
	status map[string]availability.Status
	// badFiles has the errors of files that cannot be read, and engineErr why the
	// availability is not known.
	badFiles, engineErr error
}

// item is a workspace with what is known of its image.
type item struct {
	ws     *workspace.Workspace
	status availability.Status
}

func (l launcher) items() []item {
	items := make([]item, len(l.list))
	for i, ws := range l.list {
		st, ok := l.status[ws.Name]
		if !ok {
			st = availability.Status{State: availability.Unknown}
			if l.engineErr != nil {
				st.Reason = "the engine does not answer"
			}
		}
		items[i] = item{ws, st}
	}
	return items
}

// look lists the workspaces of a context, with their availability if that is shown.
func look(ctx context.Context, dockerCLI command.Cli, api availability.API, where *catalog.Catalog, options *listOptions) (launcher, error) {
	var l launcher
	l.list, l.badFiles = where.List(ctx)
	if ctx.Err() != nil {
		return l, ctx.Err()
	}
	l.list = slices.DeleteFunc(l.list, func(ws *workspace.Workspace) bool { return !ws.Enabled && !options.all })
	if needsEngine(newFormat(options.format, options.quiet, false)) {
		l.status, l.engineErr = availabilities(ctx, dockerCLI, api, where, l.list)
	}
	return l, ctx.Err()
}

func (l launcher) shared() bool {
	return slices.ContainsFunc(l.list, func(ws *workspace.Workspace) bool { return ws.Scope == catalog.ScopeShare })
}

// problem says what could not be read or asked.
func (l launcher) problem() error {
	engineErr := l.engineErr
	if engineErr != nil {
		engineErr = fmt.Errorf("availability is not known: %w", engineErr)
	}
	return errors.Join(l.badFiles, engineErr)
}

func show(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, options *listOptions) error {
	// Files that cannot be read are reported after those that can.
	l, err := look(ctx, dockerCLI, dockerCLI.Client(), where, options)
	if err != nil {
		return err
	}
	err = write(table(dockerCLI.Out(), l, options), l.items(), dockerCLI.CurrentContext())
	return errors.Join(err, l.problem())
}

// table is how the launcher of the current context is written.
func table(out io.Writer, l launcher, options *listOptions) formatter.Context {
	return formatter.Context{Output: display.Writer(out), Format: newFormat(options.format, options.quiet, l.shared()), Trunc: !options.noTrunc}
}

// showSeveral shows what can be launched in several contexts.
func showSeveral(ctx context.Context, dockerCLI command.Cli, options *listOptions) error {
	// The scope is checked before anybody is asked.
	where, err := catalog.Open(dockerCLI, options.scope)
	if err != nil {
		return err
	}
	_ = where.Close() // nothing was asked
	set, err := options.where.Open(dockerCLI)
	if err != nil {
		return err
	}
	defer set.Close()
	answers := contexts.Ask(ctx, set, func(ctx context.Context, c *contexts.Context, answered func()) (launcher, error) {
		where, err := catalog.Open(c, options.scope)
		if err != nil {
			return launcher{}, err
		}
		defer where.Close()
		l, err := look(ctx, c, listed{c.Client(), answered}, where, options)
		if err == nil && errors.Is(l.badFiles, dial.ErrNone) {
			err = dial.ErrNone // its catalog is what was asked for
		}
		return l, errors.Join(err, l.engineErr)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	shared := slices.ContainsFunc(answers, func(a contexts.Answer[launcher]) bool { return a.Result.shared() })
	table := contexts.Table{
		Context: formatter.Context{Output: display.Writer(dockerCLI.Out()), Format: newFormat(options.format, options.quiet, shared), Trunc: !options.noTrunc},
		Header:  contexts.Header(header()),
	}
	if strings.HasPrefix(string(table.Format), defaultTable) {
		table.Format, table.Second = contexts.First(table.Format), "FriendlyName"
	}
	err = contexts.Write(table, answers, func(a contexts.Answer[launcher]) []formatter.SubContext {
		if a.Err != nil {
			return nil
		}
		return rows(table.Context, a.Result.items(), a.Context.CurrentContext(), true)
	})
	return contexts.Join([]error{err, badFiles(answers)})
}

// badFiles are the errors of files that cannot be read: those of the user's files,
// which all contexts have, once, and all others with their context.
func badFiles(answers []contexts.Answer[launcher]) error {
	type place struct{ text, context string }
	var places []place
	byText := map[string][]error{}
	answered := 0
	for _, a := range answers {
		if a.Err != nil {
			continue
		}
		answered++
		for _, err := range parts(a.Result.badFiles) {
			places = append(places, place{err.Error(), a.Context.CurrentContext()})
			byText[err.Error()] = append(byText[err.Error()], err)
		}
	}
	var errs []error
	said := map[string]bool{}
	for _, p := range places {
		same := byText[p.text]
		switch {
		case len(same) < answered:
			errs = append(errs, fmt.Errorf("context %q: %w", p.context, same[0]))
		case !said[p.text]:
			errs = append(errs, same[0])
		}
		said[p.text] = true
	}
	return errors.Join(errs...)
}

// parts are the errors that one is joined of.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return nil
		}
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}

// listed is an engine that is given all the time that registries take once it has
// listed its images.
type listed struct {
	availability.API
	answered func()
}

func (l listed) ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error) {
	images, err := l.API.ImageList(ctx, options)
	if err == nil {
		l.answered()
	}
	return images, err
}

// availabilities asks the engine about the user's workspaces; of all others the
// helper has told it.
func availabilities(ctx context.Context, dockerCLI command.Cli, api availability.API, where *catalog.Catalog, list []*workspace.Workspace) (map[string]availability.Status, error) {
	told := map[string]availability.Status{}
	var ask []*workspace.Workspace
	for _, ws := range list {
		if a, ok := where.Availability(ws); ok {
			told[ws.Name] = a.Status()
		} else {
			ask = append(ask, ws)
		}
	}
	if len(ask) == 0 {
		return told, nil
	}
	auth := func(ref string) (string, error) { return pipeline.EncodedAuth(dockerCLI, ref) }
	asked, err := availability.Check(ctx, api, auth, ask)
	maps.Copy(told, asked)
	return told, err
}
