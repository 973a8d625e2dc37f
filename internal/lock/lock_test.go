package lock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
)

// fakeEngine keeps volumes as an engine does, and can be out of reach.
type fakeEngine struct {
	mu      sync.Mutex
	volumes map[string]volume.Volume
	down    error
}

func newEngine() *fakeEngine { return &fakeEngine{volumes: map[string]volume.Volume{}} }

func (e *fakeEngine) setDown(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = err
}

func (e *fakeEngine) Info(context.Context) (system.Info, error) {
	return system.Info{SystemTime: time.Now().Format(time.RFC3339Nano)}, nil
}

// VolumeCreate makes a volume even if nobody waits for it any more.
func (e *fakeEngine) VolumeCreate(ctx context.Context, o volume.CreateOptions) (volume.Volume, error) {
	v, err := e.create(o)
	if ctx.Err() != nil {
		return volume.Volume{}, ctx.Err()
	}
	return v, err
}

func (e *fakeEngine) create(o volume.CreateOptions) (volume.Volume, error) {
	time.Sleep(time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down != nil {
		return volume.Volume{}, e.down
	}
	v, ok := e.volumes[o.Name]
	if !ok {
		v = volume.Volume{Name: o.Name, Labels: o.Labels, CreatedAt: time.Now().Format(time.RFC3339)}
		e.volumes[o.Name] = v
	}
	return v, nil
}

func (e *fakeEngine) VolumeList(_ context.Context, _ volume.ListOptions) (volume.ListResponse, error) {
	time.Sleep(time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*volume.Volume
	for _, name := range slices.Sorted(maps.Keys(e.volumes)) {
		v := e.volumes[name]
		out = append(out, &v)
	}
	return volume.ListResponse{Volumes: out}, e.down
}

func (e *fakeEngine) VolumeRemove(_ context.Context, id string, _ bool) error {
	time.Sleep(time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down != nil {
		return e.down
	}
	delete(e.volumes, id)
	return nil
}

func (e *fakeEngine) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.volumes)
}

func TestOneHolderAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		inside, times := 0, 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				l, held, err := Take(t.Context(), e, Holder{Key: "c", Run: fmt.Sprint(i)}, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if inside++; inside > 1 {
					t.Errorf("%d hold the lock", inside)
				}
				times++
				mu.Unlock()
				// Some hold it for longer than the lease.
				time.Sleep(time.Duration(i) * Lease / 4)
				if held.Err() != nil {
					t.Errorf("lost: %v", context.Cause(held))
				}
				mu.Lock()
				inside--
				mu.Unlock()
				if err := l.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if times != 12 || e.count() != 0 {
			t.Errorf("held %d times, %d volumes left", times, e.count())
		}
	})
}

func TestADeadHolderIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		dead := Holder{Key: "c", Run: "dead", Owner: "me@there", Place: "p", Note: "running"}
		if _, err := create(t.Context(), e, &dead); err == nil {
			dead.Generation = 3
		}
		if _, err := create(t.Context(), e, &dead); err != nil {
			t.Fatal(err)
		}
		var busy *BusyError
		if _, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "a"}, Options{NoWait: true}); !errors.As(err, &busy) || busy.Holder.Owner != "me@there" {
			t.Errorf("got %v", err)
		}
		start := time.Now()
		var tidied []string
		options := Options{Recover: func(_ context.Context, h Holder) error { tidied = append(tidied, h.Run+" "+h.Note); return nil }}
		l, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "a"}, options)
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited < Lease || waited > 2*Lease {
			t.Errorf("taken over after %s", waited)
		}
		if want := []string{"dead running", "dead running"}; !slices.Equal(tidied, want) {
			t.Errorf("tidied up %q", tidied)
		}
		if err := l.Release(t.Context()); err != nil || e.count() != 0 {
			t.Errorf("%v, %d volumes left", err, e.count())
		}

		// Other evidence makes it quicker.
		if _, err := create(t.Context(), e, &dead); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		options.Gone = func(h Holder) bool { return h.Place == "p" }
		l, _, err = Take(t.Context(), e, Holder{Key: "c", Run: "b"}, options)
		if err != nil || time.Since(start) > time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		// What cannot be tidied up is not taken over.
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := create(t.Context(), e, &dead); err != nil {
			t.Fatal(err)
		}
		options.Recover = func(context.Context, Holder) error { return errors.New("cannot tidy") }
		if _, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "d"}, options); err == nil || e.count() != 1 {
			t.Errorf("%v, %d volumes", err, e.count())
		}
	})
}

func TestALockThatCannotBeRenewedIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		_, held, err := Take(t.Context(), e, Holder{Key: "c", Run: "slow"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		// Nobody else reaches the engine either: nothing is lost.
		e.setDown(errors.New("down"))
		time.Sleep(Lease + renew/2)
		e.setDown(nil)
		if held.Err() != nil {
			t.Fatalf("lost while the engine was away: %v", context.Cause(held))
		}
		// The next one is there as it comes back, before the lock is renewed.
		second, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "next"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		<-held.Done()
		if !errors.Is(context.Cause(held), ErrLost) {
			t.Errorf("ended with %v", context.Cause(held))
		}
		if err := second.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestALockWithoutLabelsIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		for _, n := range []string{"1", "2"} {
			e.volumes[prefix+"c."+n] = volume.Volume{Name: prefix + "c." + n, CreatedAt: time.Now().Format(time.RFC3339)}
		}
		l, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "a"}, Options{NoWait: true})
		if err != nil {
			t.Fatal(err)
		}
		if e.count() != 1 {
			t.Errorf("%d volumes while the lock is held", e.count())
		}
		if err := l.Release(t.Context()); err != nil || e.count() != 0 {
			t.Errorf("%v, %d volumes left", err, e.count())
		}
		// What is none of ours is not passed over for ever, nor waited for.
		for n := range 20 {
			name := fmt.Sprint(prefix, "c.", n)
			e.volumes[name] = volume.Volume{Name: name}
		}
		if _, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "b"}, Options{}); err == nil || !strings.Contains(err.Error(), "docker volume rm") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitingEndsWithAnInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		first, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "a"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		told := ""
		done := make(chan error)
		go func() {
			_, _, err := Take(ctx, e, Holder{Key: "c", Run: "b"}, Options{Waiting: func(h Holder) { told += h.Run }})
			done <- err
		}()
		time.Sleep(3 * look)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || told != "a" {
			t.Errorf("%v, told %q", err, told)
		}
		if err := first.Release(t.Context()); err != nil || e.count() != 0 {
			t.Errorf("%v, %d volumes left", err, e.count())
		}
	})
}

func TestAnInterruptLeavesNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The clock stands still but for the engine's calls, which take a
		// millisecond each: every one of them is interrupted once.
		for after := range 6 {
			e := newEngine()
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(after)*time.Millisecond+time.Millisecond/2)
			l, _, err := Take(ctx, e, Holder{Key: "c", Run: "a"}, Options{})
			if err == nil {
				err = l.Release(ctx)
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("interrupted after %d ms: %v", after, err)
			}
			cancel()
			if e.count() != 0 {
				t.Errorf("interrupted after %d ms: %d volumes left, %v", after, e.count(), err)
			}
		}
	})
}

func TestALockIsKeptWhileItsLastHolderIsTidiedUpAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		dead := Holder{Key: "c", Run: "dead", Place: "p"}
		if _, err := create(t.Context(), e, &dead); err != nil {
			t.Fatal(err)
		}
		recovering := make(chan struct{})
		go func() {
			_, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "a", Place: "p"}, Options{
				Gone: func(h Holder) bool { return h.Place == "p" },
				Recover: func(context.Context, Holder) error {
					close(recovering)
					time.Sleep(5 * Lease)
					return errors.New("enough")
				},
			})
			if err == nil {
				t.Error("taken without having tidied up")
			}
		}()
		<-recovering
		time.Sleep(4 * Lease)
		var busy *BusyError
		if _, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "b"}, Options{NoWait: true}); !errors.As(err, &busy) {
			t.Errorf("a second one took the lock: %v", err)
		}
		time.Sleep(2 * Lease)
	})
}

func TestALockWhoseVolumeWasPrunedIsHeldByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		first, held, err := Take(t.Context(), e, Holder{Key: "c", Run: "first"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(renew / 2)
		e.mu.Lock()
		clear(e.volumes)
		e.mu.Unlock()
		second, other, err := Take(t.Context(), e, Holder{Key: "c", Run: "second"}, Options{NoWait: true})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * renew)
		if lost := errors.Is(context.Cause(held), ErrLost); !lost {
			t.Error("the first one still counts on its lock")
		}
		if other.Err() != nil {
			t.Errorf("the second one has lost it, too: %v", context.Cause(other))
		}
		if err := errors.Join(first.Release(t.Context()), second.Release(t.Context())); err != nil || e.count() != 0 {
			t.Errorf("%v, %d volumes left", err, e.count())
		}
	})
}

func TestALockThatWasTakenOverAndGivenBackIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		first, held, err := Take(t.Context(), e, Holder{Key: "c", Run: "asleep"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		e.setDown(errors.New("down")) // as far as one who sleeps can tell
		time.Sleep(2*Lease + renew/2)
		e.setDown(nil)
		second, _, err := Take(t.Context(), e, Holder{Key: "c", Run: "next"}, Options{NoWait: true})
		if err == nil {
			err = second.Release(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * renew)
		if !errors.Is(context.Cause(held), ErrLost) {
			t.Error("it still counts on its lock")
		}
		if err := first.Release(t.Context()); err != nil || e.count() != 0 {
			t.Errorf("%v, %d volumes left", err, e.count())
		}
	})
}

func TestANoteTellsThatTheLockIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		first, held, err := Take(t.Context(), e, Holder{Key: "c", Run: "first"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		next := Holder{Key: "c", Run: "next", Generation: 2}
		if _, err := create(t.Context(), e, &next); err != nil {
			t.Fatal(err)
		}
		if err := first.Note(t.Context(), "pausing"); !errors.Is(err, ErrLost) || !errors.Is(context.Cause(held), ErrLost) {
			t.Errorf("%v, and the context has %v", err, context.Cause(held))
		}
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestForeignVolumesAreNoLocks(t *testing.T) {
	for name, v := range map[string]volume.Volume{
		"another name":  {Name: "data", Labels: map[string]string{Label: "c"}, CreatedAt: time.Now().Format(time.RFC3339)},
		"no generation": {Name: prefix + "c.x", Labels: map[string]string{Label: "c"}, CreatedAt: time.Now().Format(time.RFC3339)},
		"no time":       {Name: prefix + "c.1", Labels: map[string]string{Label: "c"}},
		"another's key": {Name: prefix + "d.1", Labels: map[string]string{Label: "c"}, CreatedAt: time.Now().Format(time.RFC3339)},
	} {
		if h, ok := holder(&v); ok {
			t.Errorf("%s: taken for %+v", name, h)
		}
	}
}
