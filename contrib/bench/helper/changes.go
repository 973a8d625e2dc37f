package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// pace is the time between images. They do not wait for the states of those
// before: one that is late would make the next ones late, too, and hide that.
const pace = 50 * time.Millisecond

// changes measures the time from an image's event to the state that tells of it.
func changes(ctx context.Context, engine *client.Client, h *helper, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	seen, ready := map[string]time.Time{}, make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		for e, err := range h.client.Events(ctx) {
			if err != nil {
				return err
			}
			if e.Type == helperapi.EventReady {
				close(ready)
			}
			if e.Availability == nil || e.Availability.Now.State != availability.Available {
				continue
			}
			if seen[e.Availability.Workspace] = time.Now(); len(seen) == n {
				return nil
			}
		}
		return errors.New("the helper's events ended")
	})
	told := map[string]time.Time{}
	messages, failed := engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("event", string(events.ActionTag)))})
	group.Go(func() error {
		for len(told) < n {
			select {
			case m := <-messages:
				if ref, err := reference.ParseNormalizedNamed(m.Actor.Attributes["name"]); err == nil {
					told[reference.FamiliarString(ref)] = time.Unix(0, m.TimeNano)
				}
			case err := <-failed:
				return err
			}
		}
		return nil
	})
	select {
	case <-ready:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), group.Wait())
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for i := range n {
		<-ticker.C
		if err := engine.ImageTag(ctx, base, fmt.Sprintf("%s%d:1", prefix, i)); err != nil {
			return err
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var times []time.Duration
	for i := range n {
		times = append(times, seen[fmt.Sprintf("w%d", i)].Sub(told[fmt.Sprintf("%s%d:1", prefix, i)]))
	}
	slices.Sort(times)
	began := time.Now()
	if _, err := engine.ImageList(ctx, image.ListOptions{}); err != nil {
		return err
	}
	fmt.Printf("from an image's event to the state, %d changes: p50 %d ms, p99 %d ms (goal p99 1 s); at the end the engine takes %d ms for the list of images\n", n,
		times[n/2].Milliseconds(), times[n*99/100].Milliseconds(), time.Since(began).Milliseconds())
	for i := range n {
		if _, err := engine.ImageRemove(ctx, fmt.Sprintf("%s%d:1", prefix, i), image.RemoveOptions{}); err != nil {
			return err
		}
	}
	return nil
}
