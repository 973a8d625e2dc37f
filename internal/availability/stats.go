package availability

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
)

// Stats say how a [Watcher] does its work.
type Stats struct {
	// Connected tells whether the engine answers; all states are the last known
	// ones while it does not, and Err says why.
	Connected bool
	Err       string
	// Images is how many images the engine has, Listed when it last said so, and
	// Lists how many times it was asked for them.
	Images int
	Listed time.Time
	Lists  int64
	// Events is how many events about images there were, and LastEvent when the
	// last one was, by the engine's clock.
	Events    int64
	LastEvent time.Time
	// Calls is how many requests the engine got in all, with those that it passes
	// on to registries.
	Calls int64
	// Workspaces is how many are watched.
	Workspaces int
	// Registries are those that workspaces name or named, by their hosts.
	Registries []RegistryStats
}

// RegistryStats say how one registry is asked.
type RegistryStats struct {
	Host string
	// Asked is when it was last asked, and Next when it may be asked again.
	Asked, Next time.Time
	// Err says why the last request got no answer, "" if it got one.
	Err string
	// Requests is how many it got in all.
	Requests int64
}

type engineStats struct {
	connected     bool
	err           string
	images        int
	lastList      time.Time
	lists, events int64
	// lastEvent is in nanoseconds of the engine's clock, 0 before the first event.
	lastEvent int64
}

// listed tells whether the engine's images are known.
func (s *engineStats) listed() bool { return !s.lastList.IsZero() }

// Stats returns how the watcher does now.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s := Stats{
		Connected: w.stats.connected, Err: w.stats.err,
		Images: w.stats.images, Listed: w.stats.lastList, Lists: w.stats.lists,
		Events: w.stats.events, Calls: w.engine.calls.Load(), Workspaces: len(w.records),
	}
	if w.stats.lastEvent != 0 {
		s.LastEvent = time.Unix(0, w.stats.lastEvent)
	}
	for _, h := range w.hosts {
		s.Registries = append(s.Registries, RegistryStats{Host: h.name, Asked: h.asked, Next: h.next(now), Err: h.err, Requests: h.requests})
	}
	slices.SortFunc(s.Registries, func(a, b RegistryStats) int { return cmp.Compare(a.Host, b.Host) })
	return s
}

// counted counts requests to the engine.
type counted struct {
	Engine
	calls atomic.Int64
}

func (c *counted) ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error) {
	c.calls.Add(1)
	return c.Engine.ImageList(ctx, options)
}

func (c *counted) DistributionInspect(ctx context.Context, ref, auth string) (registry.DistributionInspect, error) {
	c.calls.Add(1)
	return c.Engine.DistributionInspect(ctx, ref, auth)
}

func (c *counted) Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error) {
	c.calls.Add(1)
	return c.Engine.Events(ctx, options)
}

func (c *counted) Info(ctx context.Context) (system.Info, error) {
	c.calls.Add(1)
	return c.Engine.Info(ctx)
}
