package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/editor"
)

func newEditCommand(dockerCLI command.Cli) *cobra.Command {
	var scope string
	cmd := &cobra.Command{
		Use:   "edit [OPTIONS] WORKSPACE",
		Short: "Edit a workspace's file in $VISUAL or $EDITOR",
		Long: `Edit a workspace's file. It is checked before it is saved, and not saved if it
was changed by someone else meanwhile.`,
		Args: cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), dockerCLI, args[0], scope)
		},
		ValidArgsFunction: CompleteNames(dockerCLI, 1),
	}
	catalog.ScopeFlag(cmd, &scope, whereItIs)
	return cmd
}

func runEdit(ctx context.Context, dockerCLI command.Cli, name, scope string) error {
	where, err := catalog.Open(dockerCLI, scope)
	if err != nil {
		return err
	}
	defer where.Close()
	data, revision, err := where.Raw(ctx, name)
	if err != nil {
		return err
	}
	edited, err := editor.Edit(ctx, dockerCLI, name, data)
	if err != nil {
		return err
	}
	if bytes.Equal(edited, data) {
		fmt.Fprintln(dockerCLI.Err(), "nothing was changed")
		return nil
	}
	if _, err := where.Replace(ctx, name, revision, edited); err != nil {
		if errors.Is(err, workspace.ErrConflict) {
			showConflict(ctx, dockerCLI, where, name, data)
		}
		return keep(name, edited, err)
	}
	_, err = fmt.Fprintln(dockerCLI.Out(), display.Line(name))
	return err
}

// showConflict shows what another has changed in a file meanwhile.
func showConflict(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, name string, before []byte) {
	now, _, err := where.Raw(ctx, name)
	if err != nil {
		return // the conflict itself is told
	}
	diff, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(string(before)), B: difflib.SplitLines(string(now)), FromFile: "before", ToFile: "now", Context: 1,
	})
	if err == nil {
		fmt.Fprint(dockerCLI.Err(), display.Text(diff))
	}
}

// keep saves a text that could not be written where it belongs.
func keep(name string, text []byte, err error) error {
	f, tmpErr := os.CreateTemp("", name+"-*.toml")
	if tmpErr != nil {
		return errors.Join(err, tmpErr)
	}
	_, tmpErr = f.Write(text)
	if tmpErr = errors.Join(tmpErr, f.Close()); tmpErr != nil {
		return errors.Join(err, tmpErr, os.Remove(f.Name()))
	}
	return fmt.Errorf("%w\nyour text is kept in %s", err, f.Name())
}
