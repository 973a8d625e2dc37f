package job

import (
	"context"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Values of a workspace's environment may be secret, and are not journalled: the
// session has them, too.

// withoutValues is the file of a workspace, which has no name yet, as it is
// journalled.
func withoutValues(text []byte) ([]byte, error) {
	ws, err := workspace.Decode("pending", "pending.toml", text)
	if err != nil {
		return nil, err
	}
	return workspace.Encode(ws.WithoutValues())
}

// withValues reads a workspace's file that was journalled, of a task's session.
func (j *Jobs) withValues(ctx context.Context, run *task.Run, asked helperapi.Snapshot, name string, text []byte) (*workspace.Workspace, error) {
	ws, err := workspace.Decode(name, name+".toml", text)
	if err != nil || !ws.HasBlanks() {
		return ws, err
	}
	var known []map[string]string
	if asked.Parent == nil && ws.Snapshot != nil {
		// Of the engine's catalog, which may have changed since the launch.
		if parent, err := j.Catalog.GetIn(ctx, session.ScopeEngine, ws.Snapshot.Of); err == nil {
			known = append(known, parent.Run.Environment)
		}
	}
	c, err := j.Engine.ContainerInspect(ctx, run.Task().Key)
	if err != nil && !cerrdefs.IsNotFound(err) {
		return nil, fmt.Errorf("read the environment of session %q: %w", run.Task().Subject, err)
	}
	if err == nil && c.Config != nil {
		given := map[string]string{}
		for _, pair := range c.Config.Env {
			key, value, _ := strings.Cut(pair, "=")
			given[key] = value
		}
		known = append(known, given)
	}
	for _, key := range ws.FillBlanks(known...) {
		run.Log(task.Warning, fmt.Sprintf("environment %s of the workspace is not inherited: the session does not have it", key))
	}
	return ws, nil
}
