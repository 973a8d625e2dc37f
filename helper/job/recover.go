package job

import (
	"context"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
)

// Recover tidies up after the snapshots of a helper that was killed. An engine
// that does not answer is waited for.
func (j *Jobs) Recover(ctx context.Context) {
	pipeline := &snapshot.Pipeline{
		API: j.Engine, LockDir: j.Locks, Now: time.Now,
		Sink: func(e snapshot.Event) { j.Log.Info("tidying up", "message", e.Message) },
	}
	for {
		err := pipeline.Recover(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !engine.ConnectionLost(err) {
			j.Log.Warn("what a snapshot left that was interrupted is removed by the next one of its session", "error", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}
