package contexts

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docker/cli/cli/command"
)

// Set is some contexts, in the order in which they are shown.
type Set struct {
	contexts []*Context
	timeout  time.Duration
}

// Close ends the connections to all engines.
func (s *Set) Close() {
	var all sync.WaitGroup
	for _, c := range s.contexts {
		all.Go(c.close)
	}
	all.Wait()
}

// Names are those of the contexts.
func (s *Set) Names() []string {
	names := make([]string, len(s.contexts))
	for i, c := range s.contexts {
		names[i] = c.Name
	}
	return names
}

// Only are those of the contexts that have these names. It is closed with the set
// it is made of.
func (s *Set) Only(names []string) *Set {
	some := &Set{timeout: s.timeout}
	for _, c := range s.contexts {
		if slices.Contains(names, c.Name) {
			some.contexts = append(some.contexts, c)
		}
	}
	return some
}

// Answer is what a context said: Result, unless Err is set.
type Answer[T any] struct {
	Context *Context
	Result  T
	Err     error
}

// Unasked are the answers of contexts that have not answered yet, in order.
func Unasked[T any](set *Set) []Answer[T] {
	answers := make([]Answer[T], len(set.contexts))
	for i, c := range set.contexts {
		answers[i].Context = c
	}
	return answers
}

// silentError says that a context took too long.
type silentError struct{ after time.Duration }

func (e *silentError) Error() string { return fmt.Sprintf("no answer within %s", e.after) }

// Ask asks all contexts at the same time, and returns their answers in order: none
// waits for another longer than the time that a context may take. ask calls
// answered when what may take longer begins.
func Ask[T any](ctx context.Context, set *Set, ask func(ctx context.Context, c *Context, answered func()) (T, error)) []Answer[T] {
	answers := Unasked[T](set)
	var all sync.WaitGroup
	for i, c := range set.contexts {
		if answers[i].Err = c.err; c.err == nil {
			all.Go(func() { answers[i] = limited(ctx, c, set.timeout, ask) })
		}
	}
	all.Wait()
	return answers
}

func limited[T any](ctx context.Context, c *Context, limit time.Duration, ask func(context.Context, *Context, func()) (T, error)) Answer[T] {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() { cancel(&silentError{limit}) })
	defer timer.Stop()
	done := make(chan Answer[T], 1)
	go func() {
		a := Answer[T]{Context: c}
		if a.Err = c.greet(ctx); a.Err == nil {
			a.Result, a.Err = ask(ctx, c, func() { timer.Stop() })
		}
		done <- a
	}()
	select {
	case a := <-done:
		if a.Err != nil && ctx.Err() != nil {
			a.Err = context.Cause(ctx)
		}
		return a
	case <-ctx.Done():
		// Not all that is asked of an engine heeds its context.
		return Answer[T]{Context: c, Err: context.Cause(ctx)}
	}
}

// greet finds out whether the engine answers, and by which version of the API.
func (c *Context) greet(ctx context.Context) error {
	if c.answered {
		return nil
	}
	ping, err := c.api.Ping(ctx)
	if err != nil {
		return err
	}
	c.api.NegotiateAPIVersionPing(ping)
	c.info = command.ServerInfo{
		HasExperimental: ping.Experimental, OSType: ping.OSType, BuildkitVersion: ping.BuilderVersion, SwarmStatus: ping.SwarmStatus,
	}
	c.answered = true
	return nil
}
