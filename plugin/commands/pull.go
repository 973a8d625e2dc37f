package commands

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
)

// pullByHelper has the helper pull an image as a task, so that everyone sees that
// it is on its way, and follows it. An interrupt cancels it.
func pullByHelper(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, ref string, show func(jsonmessage.JSONMessage)) error {
	client, err := where.Helper(ctx)
	if err != nil {
		return err
	}
	host, err := pipeline.Host(ref, "")
	if err != nil {
		return err
	}
	credentials, err := pipeline.Credentials(ctx, dockerCLI, host)
	if err != nil {
		return err
	}
	t, err := client.SubmitTask(ctx, helperapi.NewTask{Pull: &helperapi.Pull{Image: ref}, Credentials: credentials})
	if err != nil {
		return err
	}
	for line, err := range client.TaskLog(ctx, t.ID, true) {
		if ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return errors.Join(ctx.Err(), client.CancelTask(last, t.ID))
		}
		if err != nil {
			return err
		}
		var m jsonmessage.JSONMessage
		if line.Level == task.Progress && show != nil && json.Unmarshal(line.Progress, &m) == nil {
			show(m)
		}
	}
	if t, err = client.Task(ctx, t.ID); err != nil {
		return err
	}
	if t.State != task.Done {
		return errors.New(t.Reason)
	}
	return nil
}
