package snapshot

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// pauseWatch measures how long a session stands still, by the engine's events
// and their clock.
type pauseWatch struct {
	cancel context.CancelFunc
	still  <-chan time.Duration
}

// lateEvent bounds the wait for an event that the engine sent before it
// answered the commit.
const lateEvent = 2 * time.Second

func (j *job) watchPause(ctx context.Context, pause bool) (pauseWatch, error) {
	if !pause {
		return pauseWatch{cancel: func() {}}, nil
	}
	// From a time on, because the request may reach the engine after the commit's.
	info, err := j.API.Info(ctx)
	if err != nil {
		return pauseWatch{}, fmt.Errorf("ask the engine for its time: %w", err)
	}
	now, err := time.Parse(time.RFC3339Nano, info.SystemTime)
	if err != nil {
		return pauseWatch{}, fmt.Errorf("ask the engine for its time: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	messages, failed := j.API.Events(ctx, events.ListOptions{Since: fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()), Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("container", j.plan.session.ID),
		filters.Arg("event", string(events.ActionPause)),
		filters.Arg("event", string(events.ActionUnPause)),
		filters.Arg("event", string(events.ActionDie)),
	)})
	still := make(chan time.Duration, 1)
	go func() {
		defer close(still)
		var since int64
		for {
			select {
			case m := <-messages:
				switch {
				case m.Action == events.ActionPause:
					since = m.TimeNano
				case m.Action == events.ActionDie:
					return
				case m.Action == events.ActionUnPause && since != 0:
					still <- time.Duration(m.TimeNano - since)
					return
				}
			case err := <-failed:
				// The stream ends with our own cancel or with the engine; the
				// time is then not known, and is not shown.
				_ = err
				return
			}
		}
	}()
	return pauseWatch{cancel: cancel, still: still}, nil
}

// result returns how long the session stood still, if the engine told.
func (w pauseWatch) result() (time.Duration, bool) {
	if w.still == nil {
		return 0, false
	}
	timeout := time.NewTimer(lateEvent)
	defer timeout.Stop()
	select {
	case d, ok := <-w.still:
		return d, ok
	case <-timeout.C:
		return 0, false
	}
}

func (w pauseWatch) stop() { w.cancel() }
