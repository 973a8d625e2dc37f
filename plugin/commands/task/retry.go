package task

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
)

func newRetryCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:   "retry TASK [TASK...]",
		Short: "Go on with tasks that failed, were interrupted, or wait",
		Long: `Go on with tasks that failed, were cancelled or interrupted, or wait for
credentials, which are sent along again. A snapshot whose image is there is only
pushed.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd.Context(), dockerCLI, args, func(client *helperapi.Client, id string) error {
				return retry(cmd.Context(), dockerCLI, client, id)
			})
		},
		ValidArgsFunction: completeIDs(dockerCLI, 0, func(s task.State) bool {
			return s == task.Failed || s == task.Cancelled || s == task.Interrupted || s == task.Waiting
		}),
	}
}

func retry(ctx context.Context, dockerCLI command.Cli, client *helperapi.Client, id string) error {
	t, err := client.Task(ctx, id)
	if err != nil {
		return err
	}
	credentials, err := credentials(ctx, dockerCLI, t)
	if err != nil {
		return fmt.Errorf("retry task %s: %w", t.ID, err)
	}
	_, err = client.RetryTask(ctx, t.ID, helperapi.RetryTask{Credentials: credentials})
	return err
}

// credentials are those that a task may need: also of one that had none before,
// as that may be why it failed.
func credentials(ctx context.Context, dockerCLI command.Cli, t task.Task) (helperapi.Credentials, error) {
	switch t.Kind {
	case helperapi.TaskPull:
		var p helperapi.Pull
		if err := json.Unmarshal(t.Request, &p); err != nil {
			return nil, err
		}
		host, err := pipeline.Host(p.Image, "")
		if err != nil {
			return nil, err
		}
		return pipeline.Credentials(ctx, dockerCLI, host)
	case helperapi.TaskSnapshot:
		var s helperapi.Snapshot
		if err := json.Unmarshal(t.Request, &s); err != nil {
			return nil, err
		}
		if s.RegistryHost == "" {
			return nil, nil
		}
		return pipeline.Credentials(ctx, dockerCLI, s.RegistryHost)
	}
	return nil, fmt.Errorf("this plugin does not know tasks of kind %q: it is older than the helper", t.Kind)
}
