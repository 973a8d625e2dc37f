package workspace

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/archive"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type exportOptions struct {
	output, scope string
	force         bool
}

func newExportCommand(dockerCLI command.Cli) *cobra.Command {
	var options exportOptions
	cmd := &cobra.Command{
		Use:   "export [OPTIONS] [WORKSPACE...]",
		Short: "Write workspace files to a directory or a tar archive",
		Long: `Write the files of all workspaces, or of those named, as they are: comments and
mistakes included. "docker kasm workspace import" reads them again. The same
files always make the same archive.`,
		Example: `  docker kasm workspace export >workspaces.tar
  docker kasm workspace export --output workspaces firefox
  docker kasm workspace export --scope engine --output shared.tar`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExport(cmd.Context(), dockerCLI, args, options)
		},
	}
	// It completes in the catalog that it exports from.
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		scope := userUnless(options.scope)
		return completeFiles(dockerCLI, &scope)(cmd, args, toComplete)
	}
	catalog.ScopeFlag(cmd, &options.scope, `"user"`)
	flags := cmd.Flags()
	flags.StringVarP(&options.output, "output", "o", "-", `Directory, or tar archive if it ends in ".tar" ("-" for an archive on standard output)`)
	flags.BoolVar(&options.force, "force", false, "Overwrite files that are already there")
	return cmd
}

// userUnless is a scope of which one is meant: the user's unless it is given.
func userUnless(scope string) string {
	if scope == catalog.Any {
		return catalog.ScopeUser
	}
	return scope
}

func runExport(ctx context.Context, dockerCLI command.Cli, names []string, options exportOptions) error {
	write, err := exporter(dockerCLI, options)
	if err != nil {
		return usage.Error(err)
	}
	where, err := catalog.Open(dockerCLI, userUnless(options.scope))
	if err != nil {
		return err
	}
	defer where.Close()
	files, err := filesOf(ctx, where, names)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	errs := []error{err}
	var entries []archive.Entry
	for _, f := range files {
		if f.Data == nil {
			errs = append(errs, fmt.Errorf("export workspace %q: %w", f.Name, f.Err))
			continue
		}
		if f.Err != nil {
			fmt.Fprintf(dockerCLI.Err(), "warning: exported as it is: %s\n", display.Text(f.Err.Error()))
		}
		entries = append(entries, archive.Entry{Name: f.Name, Data: f.Data})
	}
	if len(entries) == 0 {
		return errors.Join(append(errs, errors.New("there is nothing to export"))...)
	}
	if err := write(entries); err != nil {
		return errors.Join(append(errs, err)...)
	}
	if options.output != "-" {
		for _, e := range entries {
			fmt.Fprintln(dockerCLI.Out(), display.Line(e.Name))
		}
	}
	return errors.Join(errs...)
}

// exporter chooses how files are written by the name of what they are written to.
func exporter(dockerCLI command.Cli, options exportOptions) (func([]archive.Entry) error, error) {
	out := options.output
	hint := func(err error) error {
		if errors.Is(err, archive.ErrExists) {
			return fmt.Errorf("%w: choose another --output, or overwrite with --force", err)
		}
		return err
	}
	switch {
	case out == "":
		return nil, errors.New("--output is empty: give a directory, a file that ends in .tar, or -")
	case out == "-":
		if dockerCLI.Out().IsTerminal() {
			return nil, errors.New("refusing to write an archive to a terminal: give --output, or redirect it to a file")
		}
		return func(entries []archive.Entry) error { return archive.Write(dockerCLI.Out(), entries) }, nil
	case strings.HasSuffix(out, ".tar"):
		return func(entries []archive.Entry) error { return hint(archive.WriteFile(out, entries, options.force)) }, nil
	case strings.HasSuffix(out, ".tgz"), strings.Contains(out, ".tar."):
		return nil, fmt.Errorf("archives are not compressed: use `docker kasm workspace export | gzip >%s`", display.Line(out))
	}
	return func(entries []archive.Entry) error { return hint(archive.WriteDir(out, entries, options.force)) }, nil
}
