package session

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// controlled is an engine with one paused session, which notes what is asked of it.
type controlled struct {
	execs
	paused   bool
	asked    []string
	unpaused func()
}

func (c *controlled) ContainerStart(context.Context, string, container.StartOptions) error {
	return errors.New("not expected")
}

func (c *controlled) ContainerStop(ctx context.Context, _ string, _ container.StopOptions) error {
	c.asked = append(c.asked, "stop")
	return ctx.Err()
}

func (c *controlled) ContainerPause(ctx context.Context, _ string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.paused {
		return cerrdefs.ErrConflict
	}
	c.paused, c.asked = true, append(c.asked, "pause")
	return nil
}

func (c *controlled) ContainerUnpause(ctx context.Context, _ string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.paused, c.asked = false, append(c.asked, "unpause")
	if c.unpaused != nil {
		c.unpaused()
	}
	return ctx.Err()
}

func TestAnInterruptedStopLeavesAPausedSessionPaused(t *testing.T) {
	for name, c := range map[string]struct {
		before bool
		during func(interrupt func(), api *controlled)
		want   []string
	}{
		"before it began":                {true, func(func(), *controlled) {}, nil},
		"before the engine has answered": {false, func(interrupt func(), api *controlled) { api.unpaused = interrupt }, []string{"unpause", "pause"}},
		"in its hook": {false, func(interrupt func(), api *controlled) {
			api.run = []func(*bytes.Buffer) int{func(*bytes.Buffer) int { interrupt(); return -1 }, prints("", 0)}
		}, []string{"unpause", "pause"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			api := &controlled{paused: true}
			c.during(interrupt, api)
			if c.before {
				interrupt()
			}
			err := StopSession(ctx, api, Session{Name: "x", State: Paused}, StopOptions{Hook: Hook{Name: "before_stop", Command: []string{"close"}}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if !api.paused || !slices.Equal(api.asked, c.want) {
				t.Errorf("asked for %q, and it is left paused: %v", api.asked, api.paused)
			}
		})
	}
}
