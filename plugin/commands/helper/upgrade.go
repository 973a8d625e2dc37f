package helper

import (
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
)

func newUpgradeCommand(dockerCLI command.Cli) *cobra.Command {
	var options settings
	cmd := &cobra.Command{
		Use:   "upgrade [OPTIONS]",
		Short: "Put this plugin's helper in the place of the one that is there",
		Long: `Put this plugin's helper in the place of the one that is there. It keeps all data,
and the settings that are not given again. Should it not come up, the former
helper goes on. Of several at once, each waits for the one before it.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			deployment, err := deployment(dockerCLI, cmd.Flags(), options)
			if err != nil {
				return err
			}
			changed, err := deploy.Upgrade(cmd.Context(), dockerCLI.Client(), deployment)
			switch {
			case err != nil:
				return err
			case changed:
				fmt.Fprintln(dockerCLI.Err(), "the helper is upgraded")
			default:
				fmt.Fprintln(dockerCLI.Err(), "the helper is this plugin's already")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	options.install(cmd)
	return cmd
}
