package main

import (
	"context"
	"errors"
	"time"

	"github.com/docker-kasm/docker-kasm/helper/feed"
	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// tellAvailability passes changes of availability on to the feed, until ctx ends.
func tellAvailability(ctx context.Context, watcher *availability.Watcher, news *feed.Feed) {
	for ctx.Err() == nil {
		for c := range watcher.Subscribe(ctx, 4096) {
			news.Publish(helperapi.Event{Type: helperapi.EventAvailability, Time: time.Now(), Availability: &helperapi.AvailabilityChange{
				Workspace: c.Name, Was: c.Old, Now: helperapi.Available(c.New),
			}})
		}
		// Some were lost: whoever listens looks at the catalog again.
		news.Publish(helperapi.Event{Type: helperapi.EventCatalog, Time: time.Now()})
	}
}

// tellTasks passes changes of tasks on to the feed, until the tasks are closed.
func tellTasks(ctx context.Context, tasks *task.Store, news *feed.Feed) error {
	changes := tasks.Subscribe()
	defer changes.Close()
	for {
		e, err := changes.Next(ctx)
		if errors.Is(err, task.ErrClosed) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		told := helperapi.Event{Type: helperapi.EventTask, Time: time.Now()}
		if e.Type != task.Resync {
			told.Task = &helperapi.TaskChange{
				ID: e.Task.ID, Kind: e.Task.Kind, Subject: e.Task.Subject, State: e.Task.State,
				Step: e.Task.Step, Reason: e.Task.Reason, Removed: e.Type == task.Removed,
			}
		}
		news.Publish(told)
	}
}
