package helper

import (
	"context"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/prompt"
)

type uninstallOptions struct{ force, purge bool }

func newUninstallCommand(dockerCLI command.Cli) *cobra.Command {
	var options uninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall [OPTIONS]",
		Short: "Remove the helper from this engine",
		Long: `Remove the helper's container and image, by which ports of sessions are forwarded
as well ("docker kasm open" makes it again). Its data stays in the volume
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
		data := "Its data stays."
		if options.purge {
			data = "The engine's workspaces and tasks are lost."
		}
		err := prompt.Confirm(ctx, dockerCLI, prompt.Texts{
			Warning:    "This will remove the helper that everyone on this engine shares. " + data,
			NoTerminal: "give --force to remove the helper where nobody can be asked",
			Declined:   "nothing was removed",
		})
		if err != nil {
			return err
		}
	}
	removed, err := deploy.Uninstall(ctx, dockerCLI.Client(), deploy.UninstallOptions{
		Purge: options.purge, User: connect.User(),
		Report: func(text string) { fmt.Fprintln(dockerCLI.Err(), display.Line(text)) },
	})
	if removed && err == nil {
		fmt.Fprintln(dockerCLI.Err(), "the helper is removed")
	}
	return err
}
