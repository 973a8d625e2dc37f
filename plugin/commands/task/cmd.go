// Package task holds the commands about what the helper does in the background.
package task

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// NewCommand returns the group `docker kasm task`.
func NewCommand(dockerCLI command.Cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "task",
		Short: "Manage what the helper does in the background",
		Long: `Tasks are snapshots and pulls that the helper does while nobody waits for them:
"docker kasm commit --detach" begins one.`,
		Args:              usage.NoArgs,
		RunE:              command.ShowHelp(dockerCLI.Err()),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(
		newListCommand(dockerCLI),
		newInspectCommand(dockerCLI),
		newLogsCommand(dockerCLI),
		newCancelCommand(dockerCLI),
		newRetryCommand(dockerCLI),
		newRemoveCommand(dockerCLI),
	)
	return cmd
}

// with does something with the engine's helper.
func with(ctx context.Context, dockerCLI command.Cli, do func(*helperapi.Client) error) error {
	client, err := connect.Helper(ctx, dockerCLI)
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

// each does something with every one of several tasks, and prints those that it
// was done with.
func each(ctx context.Context, dockerCLI command.Cli, ids []string, do func(*helperapi.Client, string) error) error {
	return with(ctx, dockerCLI, func(client *helperapi.Client) error {
		var errs []error
		for _, id := range ids {
			if err := do(client, id); err != nil {
				errs = append(errs, err)
				continue
			}
			fmt.Fprintln(dockerCLI.Out(), display.Line(id))
		}
		return errors.Join(errs...)
	})
}

// completeIDs completes ids of tasks for which wanted is true, limit of them at
// most; 0 means any number.
func completeIDs(dockerCLI command.Cli, limit int, wanted func(task.State) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if limit > 0 && len(args) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := connect.Completing(cmd)
		defer cancel()
		var ids []string
		_ = with(ctx, dockerCLI, func(client *helperapi.Client) error {
			list, err := client.Tasks(ctx)
			for _, t := range list {
				if wanted(t.State) && !slices.Contains(args, t.ID) {
					ids = append(ids, cobra.CompletionWithDesc(t.ID, t.Kind+" "+t.Subject))
				}
			}
			return err
		})
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

func whatever(task.State) bool { return true }

func live(s task.State) bool { return !s.Ended() }

func newCancelCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel TASK [TASK...]",
		Short: "Cancel one or more tasks",
		Long: `Cancel tasks. Of a snapshot nothing is left but an image that has its name already;
its session is running again if it was.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, args, func(client *helperapi.Client, id string) error {
				return client.CancelTask(cmd.Context(), id)
			})
		},
		ValidArgsFunction: completeIDs(dockerCLI, 0, live),
	}
}

func newRemoveCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:     "rm TASK [TASK...]",
		Aliases: []string{"remove"},
		Short:   "Remove one or more tasks that have ended, with their logs",
		Long:    `Remove tasks that have ended, with their logs. What they have made stays.`,
		Args:    cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, args, func(client *helperapi.Client, id string) error {
				return client.RemoveTask(cmd.Context(), id)
			})
		},
		ValidArgsFunction: completeIDs(dockerCLI, 0, task.State.Ended),
	}
}
