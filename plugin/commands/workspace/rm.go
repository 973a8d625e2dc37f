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
	var scope string
	cmd := &cobra.Command{
		Use:     "rm [OPTIONS] WORKSPACE [WORKSPACE...]",
		Aliases: []string{"remove"},
		Short:   "Remove one or more workspaces from the catalog",
		Long:    `Remove workspaces from the catalog. Their images and sessions stay.`,
		Args:    cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			where, err := catalog.Open(dockerCLI, scope)
			if err != nil {
				return err
			}
			defer where.Close()
			var errs []error
			for _, name := range args {
				if err := where.Remove(cmd.Context(), name, ""); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(dockerCLI.Out(), display.Line(name))
			}
			return errors.Join(errs...)
		},
		ValidArgsFunction: CompleteNames(dockerCLI, 0),
	}
	catalog.ScopeFlag(cmd, &scope, whereItIs)
	return cmd
}
