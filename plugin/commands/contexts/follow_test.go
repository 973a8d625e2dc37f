package contexts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// following follows contexts until the test ends; told returns what was told of them.
func following(t *testing.T, set *Set, follow func(ctx context.Context, c *Context, answered func()) error) (told func() []string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var failures []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		Follow(ctx, set, follow, func(c *Context, err error) {
			mu.Lock()
			defer mu.Unlock()
			failures = append(failures, fmt.Sprintf("%s %s", c.Name, err))
		})
	}()
	return func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(failures)
		}, func() {
			cancel()
			<-done
		}
}

func TestAContextThatIsLostIsFollowedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := greeted("torn", "a")
		set.contexts[0].err = errors.New("no key")
		var times atomic.Int32
		told, stop := following(t, set, func(ctx context.Context, _ *Context, answered func()) error {
			answered()
			if times.Add(1) <= 3 {
				time.Sleep(10 * time.Second)
				return errors.New("lost")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(time.Minute)
		if got, want := told(), []string{"torn no key", "a lost", "a lost", "a lost"}; !slices.Equal(got, want) || times.Load() != 4 {
			t.Errorf("told %q after %d tries", got, times.Load())
		}
		stop()
		if got := len(told()); got != 4 {
			t.Errorf("%d failures", got)
		}
	})
}

func TestAContextThatSaysNothingIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		told, stop := following(t, greeted("deaf", "late", "slow"), func(ctx context.Context, c *Context, answered func()) error {
			switch c.Name {
			case "deaf": // it does not heed its context
				<-release
			case "late":
				<-ctx.Done()
			case "slow":
				time.Sleep(500 * time.Millisecond)
				answered()
				<-ctx.Done()
			}
			return ctx.Err()
		})
		time.Sleep(1100 * time.Millisecond)
		got := told()
		slices.Sort(got)
		if want := []string{"deaf no answer within 1s", "late no answer within 1s"}; !slices.Equal(slices.Compact(got), want) {
			t.Errorf("told %q", got)
		}
		stop()
		close(release)
	})
}

func TestTriesBecomeFewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		_, stop := following(t, greeted("a"), func(context.Context, *Context, func()) error {
			tries.Add(1)
			return errors.New("down")
		})
		time.Sleep(59 * time.Minute)
		stop()
		if n := tries.Load(); n < 100 || n > 300 {
			t.Errorf("%d tries in an hour", n)
		}
	})
}
