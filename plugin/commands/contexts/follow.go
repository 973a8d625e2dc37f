package contexts

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A context that fails is tried again after firstRetry, doubled each time up to
// longestRetry. Half of each is left to chance.
const (
	firstRetry   = time.Second
	longestRetry = 30 * time.Second
)

// Follow follows all contexts at the same time until ctx ends. follow follows one
// until that fails, and calls answered once there is something to show; what takes
// longer than a context may take fails. failed is told why a context fails, which is
// then tried again, unless it cannot be used at all. Both may be called once more
// after Follow has returned, as not all that is asked of an engine heeds its context.
func Follow(ctx context.Context, set *Set, follow func(ctx context.Context, c *Context, answered func()) error, failed func(*Context, error)) {
	for _, c := range set.contexts {
		if c.err != nil {
			failed(c, c.err)
			continue
		}
		go func() {
			retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMultiplier(2), backoff.WithMaxInterval(longestRetry), backoff.WithMaxElapsedTime(0))
			for {
				err := c.follow(ctx, set.timeout, func(ctx context.Context, answered func()) error {
					return follow(ctx, c, func() { answered(); retry.Reset() })
				}, failed)
				if ctx.Err() != nil {
					return
				}
				failed(c, err)
				c.lines.drop()
				select {
				case <-ctx.Done():
					return
				case <-time.After(retry.NextBackOff()):
				}
			}
		}()
	}
	<-ctx.Done()
}

// follow returns why the context is not followed any more. That it does not answer
// in time is told at once, however long it takes to give up.
func (c *Context) follow(ctx context.Context, limit time.Duration, follow func(ctx context.Context, answered func()) error, failed func(*Context, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() {
		err := &silentError{limit}
		failed(c, err)
		cancel(err)
	})
	defer timer.Stop()
	err := c.greet(ctx)
	if err == nil {
		err = follow(ctx, func() { timer.Stop() })
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
