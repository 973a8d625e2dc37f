package helper

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
)

type uninstallOptions struct{ force, purge bool }

func newUninstallCommand(dockerCLI command.Cli) *cobra.Command {
	var options uninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall [OPTIONS]",
		Short: "Remove the helper from this engine",
		Long: `Remove the helper's container and image. Its data stays in the volume
docker-kasm-helper, for the next "docker kasm helper install", unless --purge is
given: then the engine's workspaces and tasks are lost. Sessions and images stay.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runUninstall(cmd.Context(), dockerCLI, options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.force, "force", "f", false, "Do not ask for confirmation")
	flags.BoolVar(&options.purge, "purge", false, "Remove the helper's data as well")
	return cmd
}

func runUninstall(ctx context.Context, dockerCLI command.Cli, options uninstallOptions) error {
	if !options.force {
		if !dockerCLI.In().IsTerminal() {
			return errors.New("give --force to remove the helper where nobody can be asked")
		}
		data := "Its data stays."
		if options.purge {
			data = "The engine's workspaces and tasks are lost."
		}
		fmt.Fprintf(dockerCLI.Err(), "This will remove the helper that everyone on this engine shares. %s\n", data)
		//nolint:staticcheck // the only prompt that docker/cli 28 exports
		yes, err := command.PromptForConfirmation(ctx, dockerCLI.In(), dockerCLI.Err(), "")
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("nothing was removed")
		}
	}
	if err := deploy.Uninstall(ctx, dockerCLI.Client(), deploy.UninstallOptions{
		Purge: options.purge, User: connect.User(),
		Report: func(text string) { fmt.Fprintln(dockerCLI.Err(), display.Line(text)) },
	}); err != nil {
		return err
	}
	fmt.Fprintln(dockerCLI.Err(), "the helper is removed")
	return nil
}
