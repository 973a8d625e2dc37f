package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type importOptions struct {
	scope         string
	force, dryRun bool
}

func newImportCommand(dockerCLI command.Cli) *cobra.Command {
	var options importOptions
	cmd := &cobra.Command{
		Use:   "import [OPTIONS] SOURCE [WORKSPACE...]",
		Short: "Add workspaces from files, an archive or a Kasm workspace registry",
		Long: `Add all workspaces of SOURCE, or those named, to the catalog. SOURCE is

  - a directory of .toml files, or one such file
  - a tar archive of them, "-" for one on standard input
  - the address of a Kasm workspace registry, or of its list.json
  - a list.json or workspace.json file of such a registry

Each workspace is checked before it is written; those with mistakes are reported
and left out, and of an archive that is cut off nothing is taken. Workspaces that
are already in the catalog are left as they are, unless --force is given. What a
registry says and a workspace has no key for is listed; commands, volumes and
devices that a registry asks for are never taken over.`,
		Example: `  docker kasm workspace import workspaces.tar
  docker kasm workspace import --dry-run https://registry.kasmweb.com/
  docker kasm workspace import --scope engine https://registry.kasmweb.com/ chromium firefox`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(cmd.Context(), dockerCLI, args[0], args[1:], options)
		},
		ValidArgsFunction: completeSource,
	}
	catalog.ScopeFlag(cmd, &options.scope, `"user"`)
	flags := cmd.Flags()
	flags.BoolVar(&options.force, "force", false, "Replace workspaces that are already in the catalog")
	flags.BoolVar(&options.dryRun, "dry-run", false, "Only show what would be done")
	return cmd
}

// completeSource completes files, and then the names in a source on this machine.
func completeSource(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	if args[0] == "-" || strings.Contains(args[0], "://") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, _ := candidates(cmd.Context(), nil, args[0])
	var names []string
	for _, c := range list {
		if c.err == nil {
			names = append(names, c.name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func runImport(ctx context.Context, dockerCLI command.Cli, source string, names []string, options importOptions) error {
	if source == "-" && dockerCLI.In().IsTerminal() {
		return usage.Error(errors.New("refusing to read an archive from a terminal: redirect it from a file"))
	}
	where, err := catalog.Open(dockerCLI, userUnless(options.scope))
	if err != nil {
		return err
	}
	defer where.Close()
	list, err := candidates(ctx, dockerCLI.In(), source)
	if err != nil {
		return fmt.Errorf("import workspaces: %w", err)
	}
	if len(list) == 0 {
		return fmt.Errorf("import workspaces: there are none in %q", source)
	}
	list, err = chosen(list, names)
	errs := []error{err}
	for _, c := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		done, err := place(ctx, where, c, options)
		if err != nil {
			errs = append(errs, fmt.Errorf("import workspace %q: %w", c.name, err))
			continue
		}
		name := display.Line(c.name)
		if !done.written() {
			fmt.Fprintf(dockerCLI.Err(), "%s: %s\n", name, done)
			continue
		}
		if options.dryRun {
			fmt.Fprintf(dockerCLI.Out(), "%s: would be %s\n", name, done)
		} else {
			fmt.Fprintf(dockerCLI.Out(), "%s: %s\n", name, done)
		}
		if len(c.left) > 0 {
			fmt.Fprintf(dockerCLI.Err(), "warning: %s: not taken over: %s\n", name, display.Line(strings.Join(c.left, ", ")))
		}
	}
	return errors.Join(errs...)
}

// outcome is what becomes of a candidate.
type outcome string

const (
	added     outcome = "added"
	replaced  outcome = "replaced"
	unchanged outcome = "it is in the catalog as it is"
	skipped   outcome = "skipped, another is already in the catalog: replace it with --force"
)

func (o outcome) written() bool { return o == added || o == replaced }

// place puts a candidate in the catalog, unless it is only to be told what would
// become of it.
func place(ctx context.Context, where *catalog.Catalog, c candidate, options importOptions) (outcome, error) {
	if c.err != nil {
		return "", c.err
	}
	now, revision, err := where.Raw(ctx, c.name)
	if errors.Is(err, workspace.ErrNotFound) {
		if !options.dryRun {
			_, err = where.CreateRaw(ctx, c.name, c.data)
			if errors.Is(err, workspace.ErrExists) && !options.force {
				return skipped, nil // added by another this moment
			}
			return added, err
		}
		return added, nil
	}
	switch {
	case err != nil:
		return "", err
	case bytes.Equal(now, c.data):
		return unchanged, nil
	case !options.force:
		return skipped, nil
	case options.dryRun:
		return replaced, nil
	}
	_, err = where.Replace(ctx, c.name, revision, c.data)
	return replaced, err
}
