// Package commands is the command tree of `docker kasm`.
package commands

import (
	"context"

	"github.com/docker/cli/cli-plugins/plugin"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/plugin/commands/browse"
	"github.com/docker-kasm/docker-kasm/plugin/commands/guard"
	"github.com/docker-kasm/docker-kasm/plugin/commands/helper"
	"github.com/docker-kasm/docker-kasm/plugin/commands/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/task"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
	"github.com/docker-kasm/docker-kasm/plugin/commands/workspace"
)

// Short says what the plugin is for, in `docker --help` and `docker info`.
const Short = "Manage desktop sessions in containers and snapshots of them"

// New returns the root command. ctx is cancelled by a signal; every command
// runs under it.
func New(ctx context.Context, dockerCLI command.Cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kasm",
		Short: Short,
		Long: `Run desktops and development environments in containers as sessions of
workspaces, and keep what was done in one as a new image and workspace.`,
		Args:              usage.NoArgs,
		RunE:              command.ShowHelp(dockerCLI.Err()),
		ValidArgsFunction: cobra.NoFileCompletions,
		TraverseChildren:  true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			cmd.SetContext(ctx)
			return plugin.PersistentPreRunE(cmd, args)
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	// Completions run before any command's context is set.
	cmd.SetContext(ctx)
	cmd.AddCommand(session.NewCommand(dockerCLI), workspace.NewCommand(dockerCLI), helper.NewCommand(dockerCLI), task.NewCommand(dockerCLI))
	cmd.AddCommand(session.NewShortForms(dockerCLI)...)
	cmd.AddCommand(newRunCommand(dockerCLI), newCommitCommand(dockerCLI), newPushCommand(dockerCLI), newVersionCommand(dockerCLI), newDoctorCommand(dockerCLI), guard.NewCommand(dockerCLI), browse.NewCommand())
	usage.Install(cmd)
	return cmd
}
