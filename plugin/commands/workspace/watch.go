package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/docker/cli/cli/command"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/screen"
)

const (
	// quiet is how long nothing has to happen before the list is shown again:
	// events come in bursts.
	quiet = 100 * time.Millisecond
	// The helper is tried again after firstRetry, doubled each time up to
	// longestRetry.
	firstRetry, longestRetry = 200 * time.Millisecond, 10 * time.Second
	// gone is shown as the availability of a workspace that is in the list no more.
	gone availability.State = "gone"
)

// watch shows the list, and whatever the helper tells of that changes in it.
func watch(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, options *listOptions) error {
	client, err := where.Helper(ctx)
	if err != nil {
		return fmt.Errorf("watch workspaces: %w", err)
	}
	changes := screen.Changes[item]{
		Key:   func(i item) string { return i.ws.Scope + "/" + i.ws.Name },
		Facts: func(i item) item { return i },
		Gone:  func(i item) item { return item{ws: i.ws, status: availability.Status{State: gone}} },
	}
	news := screen.Rows{}
	return screen.Show(ctx, dockerCLI, func(ctx context.Context, tell func(screen.View)) error {
		var view screen.View
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		changed, problems := make(chan struct{}, 1), make(chan error, 1)
		ended := make(chan error, 1)
		go func() { ended <- listen(ctx, client, changed, problems) }()
		for {
			select {
			case err := <-ended:
				return err
			case err := <-problems:
				view.News, view.Problem = nil, fmt.Sprintf("the helper cannot be followed, and is tried again: %s", err)
				if view.Render != nil {
					tell(view)
				}
				continue
			case <-changed:
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(quiet):
			}
			l, err := look(ctx, dockerCLI, dockerCLI.Client(), where, options)
			if err != nil {
				return err
			}
			rows := func(out io.Writer, items []item) error {
				return write(table(out, l, options), items, dockerCLI.CurrentContext())
			}
			items := l.items()
			view.News, view.Problem = nil, ""
			if err := l.problem(); err != nil {
				view.Problem = err.Error()
			}
			view.Render = func(out io.Writer) error { return rows(out, items) }
			news.Format = table(nil, l, options).Format
			if other := changes.Next(items); len(other) > 0 || !news.Begun() {
				if view.News, err = news.More(func(out *bytes.Buffer) error { return rows(out, other) }); err != nil {
					return err
				}
			}
			tell(view)
		}
	})
}

// listen tells of everything that the list may show, and goes on where events
// were missed or the helper was away. It fails if it cannot begin.
func listen(ctx context.Context, client *helperapi.Client, changed chan<- struct{}, problems chan<- error) error {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMultiplier(2), backoff.WithMaxInterval(longestRetry), backoff.WithMaxElapsedTime(0))
	for begun := false; ; {
		var lost error
		for e, err := range client.Events(ctx) {
			if err != nil {
				lost = err
				break
			}
			switch e.Type {
			case helperapi.EventReady, helperapi.EventCatalog, helperapi.EventAvailability:
				begun = true
				retry.Reset()
				select {
				case changed <- struct{}{}:
				default: // one is on its way
				}
			case helperapi.EventTask, helperapi.EventLifetime:
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !begun:
			return lost
		case !errors.Is(lost, helperapi.ErrMissed):
			select {
			case problems <- lost:
			default: // there is one that is not told yet
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retry.NextBackOff()):
		}
	}
}
