package workspace

import (
	"errors"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
)

func newRemoveCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:     "rm WORKSPACE [WORKSPACE...]",
		Aliases: []string{"remove"},
		Short:   "Remove one or more workspaces from the catalog",
		Long:    `Remove workspaces from the catalog. Their images and sessions stay.`,
		Args:    cli.RequiresMinArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			user := catalog.User()
			var errs []error
			for _, name := range args {
				if err := user.Remove(name, ""); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(dockerCLI.Out(), display.Line(name))
			}
			return errors.Join(errs...)
		},
		ValidArgsFunction: CompleteNames(0),
	}
}
