package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
)

type listOptions struct {
	quiet, noTrunc, all bool
	watch               bool
	format, scope       string
}

func newListCommand(dockerCLI command.Cli) *cobra.Command {
	var options listOptions
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List workspaces: the launcher",
		Long: `List the workspaces that can be launched, and whether the image of each is
available on this engine or, where it is not, in its registry.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runList(cmd.Context(), dockerCLI, options)
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
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json", "table"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runList(ctx context.Context, dockerCLI command.Cli, options listOptions) error {
	where, err := catalog.Open(dockerCLI, options.scope)
	if err != nil {
		return err
	}
	defer where.Close()
	if options.watch {
		return watch(ctx, dockerCLI, where, options)
	}
	return show(ctx, dockerCLI, dockerCLI.Out(), where, options)
}

func show(ctx context.Context, dockerCLI command.Cli, out io.Writer, where *catalog.Catalog, options listOptions) error {
	// Files that cannot be read are reported after those that can.
	list, badFiles := where.List(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	list = slices.DeleteFunc(list, func(ws *workspace.Workspace) bool { return !ws.Enabled && !options.all })
	shared := slices.ContainsFunc(list, func(ws *workspace.Workspace) bool { return ws.Scope == catalog.ScopeShare })
	format := newFormat(options.format, options.quiet, shared)
	var status map[string]availability.Status
	var engineErr error
	if needsEngine(format) {
		status, engineErr = availabilities(ctx, dockerCLI, where, list)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	err := write(formatter.Context{Output: display.Writer(out), Format: format, Trunc: !options.noTrunc}, list, status, engineErr)
	if engineErr != nil {
		engineErr = fmt.Errorf("availability is not known: %w", engineErr)
	}
	return errors.Join(err, badFiles, engineErr)
}

// availabilities asks the engine about the user's workspaces; of all others the
// helper has told it.
func availabilities(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, list []*workspace.Workspace) (map[string]availability.Status, error) {
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
	asked, err := availability.Check(ctx, dockerCLI.Client(), auth, ask)
	maps.Copy(told, asked)
	return told, err
}
