package snapshot

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// pauseWatch measures how long a session stands still, by the engine's events
// and their clock.
type pauseWatch struct {
	cancel  context.CancelFunc
	paused  <-chan struct{}
	resumed <-chan still
}

// still is what the engine told of a pause.
type still struct {
	// known is set unless the engine's events ended.
	known           bool
	paused, resumed bool
	// early is set if the session went on before the engine had made the image:
	// the engine itself tells of the image first.
	early bool
	time  time.Duration
}

// lateEvent bounds the wait for an event that the engine sent before it
// answered the commit.
const lateEvent = 2 * time.Second

func (j *job) watchPause(ctx context.Context, pause bool) (pauseWatch, error) {
	if !pause {
		return pauseWatch{cancel: func() {}}, nil
	}
	// From a time on, because the request may reach the engine after the commit's.
	now, err := j.clock.justNow(ctx, j.API)
	if err != nil {
		return pauseWatch{}, err
	}
	// After an interrupt as well: it tells whether the session runs again.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	messages, failed := j.API.Events(ctx, events.ListOptions{Since: now, Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("container", j.plan.session.ID),
		filters.Arg("event", string(events.ActionPause)),
		filters.Arg("event", string(events.ActionUnPause)),
		filters.Arg("event", string(events.ActionCommit)),
		filters.Arg("event", string(events.ActionDie)),
	)})
	paused, resumed := make(chan struct{}), make(chan still, 1)
	go func() {
		var seen sequence
		for {
			select {
			case m := <-messages:
				before := seen.since
				s, over := seen.add(m)
				if before == 0 && seen.since != 0 {
					close(paused)
				}
				if over {
					resumed <- s
					return
				}
			case err := <-failed:
				// The stream ends with our own cancel or with the engine; the
				// time is then not known, and is not shown.
				_ = err
				resumed <- still{}
				return
			}
		}
	}()
	return pauseWatch{cancel: cancel, paused: paused, resumed: resumed}, nil
}

// sequence is what the engine has told of a session while it made an image of it.
type sequence struct {
	since   int64 // when the session was paused
	written bool
}

// add takes in an event; it returns true with the last that matters.
func (s *sequence) add(m events.Message) (still, bool) {
	switch {
	case m.Action == events.ActionPause && s.since == 0:
		s.since = m.TimeNano
	case m.Action == events.ActionCommit:
		s.written = true
	case m.Action == events.ActionDie:
		return still{}, true
	case m.Action == events.ActionUnPause && s.since != 0:
		return still{known: true, paused: true, resumed: true, early: !s.written, time: time.Duration(m.TimeNano - s.since)}, true
	}
	return still{}, false
}

// clock asks for the engine's time while other things are done: some engines take
// longer to tell it than for all the rest.
type clock struct {
	asked time.Time
	told  chan struct{}
	time  string
	err   error
}

func startClock(ctx context.Context, api engine.InfoClient) *clock {
	c := &clock{asked: time.Now(), told: make(chan struct{})}
	go func() {
		defer close(c.told)
		c.time, c.err = engineTime(ctx, api)
	}()
	return c
}

// justNow returns a time by the engine's clock in about the last second.
func (c *clock) justNow(ctx context.Context, api engine.InfoClient) (string, error) {
	if time.Since(c.asked) > time.Second {
		return engineTime(ctx, api)
	}
	<-c.told
	return c.time, c.err
}

// engineTime is the time by the engine's clock, as it takes it for events.
func engineTime(ctx context.Context, api engine.InfoClient) (string, error) {
	now, err := engine.Time(ctx, api)
	if err != nil {
		return "", err
	}
	return engine.Stamp(now), nil
}

// result returns what the engine has told, after its answer to the commit.
func (w pauseWatch) result() still {
	timeout := time.NewTimer(lateEvent)
	defer timeout.Stop()
	select {
	case s := <-w.resumed:
		return s
	case <-timeout.C:
	}
	select {
	case <-w.paused:
		return still{known: true, paused: true}
	default:
		return still{known: true}
	}
}

func (w pauseWatch) stop() { w.cancel() }
