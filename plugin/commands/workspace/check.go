package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

func newCheckCommand(dockerCLI command.Cli) *cobra.Command {
	var format, scope string
	cmd := &cobra.Command{
		Use:   "check [OPTIONS] [WORKSPACE...]",
		Short: "Check workspace files for mistakes",
		Long: `Check the files of all workspaces, or of those named. Each mistake is printed with
the file, line and column that it is at; the exit status is 1 if there is one.`,
		Example: `  docker kasm workspace check
  docker kasm workspace check --format json firefox`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCheck(cmd.Context(), dockerCLI, args, format, scope)
		},
		ValidArgsFunction: completeFiles(dockerCLI, &scope),
	}
	catalog.ScopeFlag(cmd, &scope, "both")
	cmd.Flags().StringVar(&format, "format", "", output.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// mistake is something wrong at one place of a file.
type mistake struct {
	Name  string
	Scope string
	File  string
	// Line and Column are from 1, and 0 where the whole file is wrong.
	Line    int `json:",omitempty"`
	Column  int `json:",omitempty"`
	Message string
}

func runCheck(ctx context.Context, dockerCLI command.Cli, names []string, format, scope string) error {
	show, err := output.New(format, writeMistake)
	if err != nil {
		return err
	}
	where, err := catalog.Open(dockerCLI, scope)
	if err != nil {
		return err
	}
	defer where.Close()
	files, failed := filesOf(ctx, where, names)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	out := display.Writer(dockerCLI.Out())
	bad := 0
	for _, f := range files {
		problems := f.Problems()
		if len(problems) > 0 {
			bad++
		}
		for _, p := range problems {
			m := mistake{Name: f.Name, Scope: f.Scope, File: p.File, Line: p.Line, Column: p.Column, Message: p.Message}
			if err := show(out, m); err != nil {
				return err
			}
		}
	}
	if bad > 0 {
		return errors.Join(failed, fmt.Errorf("mistakes in %d of %s: mend them with `docker kasm workspace edit`", bad, count(len(files))))
	}
	fmt.Fprintf(dockerCLI.Err(), "no mistakes in %s\n", count(len(files)))
	return failed
}

func count(files int) string {
	if files == 1 {
		return "1 workspace file"
	}
	return fmt.Sprintf("%d workspace files", files)
}

func writeMistake(out io.Writer, m mistake) error {
	if m.Line == 0 {
		_, err := fmt.Fprintf(out, "%s: %s\n", m.File, m.Message)
		return err
	}
	_, err := fmt.Fprintln(out, (&workspace.FileError{File: m.File, Line: m.Line, Column: m.Column, Message: m.Message}).Error())
	return err
}

// filesOf returns the files of the workspaces named, of all where none is, in their
// order, and what could not be read.
func filesOf(ctx context.Context, where *catalog.Catalog, names []string) ([]catalog.File, error) {
	all, err := where.Files(ctx)
	if len(names) == 0 {
		return all, err
	}
	var files []catalog.File
	errs := []error{err}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		before := len(files)
		for _, f := range all {
			if f.Name == name {
				files = append(files, f)
			}
		}
		if len(files) == before && err == nil {
			_, _, err := where.Raw(ctx, name) // it knows the names that look alike
			errs = append(errs, err)
		}
	}
	return files, errors.Join(errs...)
}

// completeFiles completes names of workspaces of a scope, of bad files too.
func completeFiles(dockerCLI command.Cli, scope *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := connect.Completing(cmd)
		defer cancel()
		where, err := catalog.Open(dockerCLI, *scope)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer where.Close()
		files, _ := where.Files(ctx)
		var names []string
		for _, f := range files {
			if workspace.ValidName(f.Name) != nil || slices.Contains(args, f.Name) {
				continue
			}
			description := "it has mistakes"
			if f.Workspace != nil {
				description = f.Workspace.DisplayName()
			}
			names = append(names, cobra.CompletionWithDesc(f.Name, description))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
