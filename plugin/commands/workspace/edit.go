package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/editor"
)

func newEditCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:   "edit WORKSPACE",
		Short: "Edit a workspace's file in $VISUAL or $EDITOR",
		Long: `Edit a workspace's file. It is checked before it is saved, and not saved if it
was changed by someone else meanwhile.`,
		Args: cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEdit(cmd.Context(), dockerCLI, args[0])
		},
		ValidArgsFunction: CompleteNames(1),
	}
}

func runEdit(ctx context.Context, dockerCLI command.Cli, name string) error {
	user := catalog.User()
	data, revision, err := user.Raw(name)
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
	if _, err := user.Replace(name, revision, edited); err != nil {
		return keep(name, edited, err)
	}
	_, err = fmt.Fprintln(dockerCLI.Out(), display.Line(name))
	return err
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
