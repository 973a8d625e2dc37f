package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
)

// watched is an engine whose sessions change.
type watched struct {
	mu       sync.Mutex
	states   map[string]container.ContainerState
	lists    int
	listTime time.Duration
	// behind is how many lists do not show yet what events told.
	behind int
	old    map[string]container.ContainerState
	down   error
	since  []string
	// calls are what was asked, in order.
	calls    []string
	messages chan events.Message
	errs     chan error
}

func newWatched() *watched {
	return &watched{states: map[string]container.ContainerState{}, old: map[string]container.ContainerState{}}
}

func (w *watched) Info(context.Context) (system.Info, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, "time")
	return system.Info{SystemTime: time.Now().Format(time.RFC3339Nano)}, w.down
}

func (w *watched) Events(_ context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, "events")
	w.since = append(w.since, o.Since)
	w.messages, w.errs = make(chan events.Message), make(chan error, 1)
	return w.messages, w.errs
}

func (w *watched) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	w.mu.Lock()
	w.calls = append(w.calls, "list")
	w.lists++
	states := w.states
	if w.behind > 0 {
		w.behind--
		states = w.old
	}
	var list []container.Summary
	for id, state := range states {
		labels := map[string]string{LabelSession: "0123456789abcdef", LabelName: id}
		list = append(list, container.Summary{ID: id, Names: []string{"/" + id}, State: state, Labels: labels})
	}
	w.mu.Unlock()
	time.Sleep(w.listTime)
	return list, nil
}

func (w *watched) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return nil, nil
}

// set changes a session and tells of it.
func (w *watched) set(id string, action events.Action, state container.ContainerState) {
	w.mu.Lock()
	if w.behind > 0 {
		w.old[id] = w.states[id]
	}
	w.states[id] = state
	messages := w.messages
	w.mu.Unlock()
	messages <- events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: id}, TimeNano: time.Now().UnixNano()}
}

// watching watches until the test ends; told returns the last news.
func watching(t *testing.T, api *watched) (told func() News, stop func() error) {
	t.Helper()
	return watchingRecords(t, api, nil, nil)
}

func watchingRecords(t *testing.T, api *watched, r Roster, changed <-chan struct{}) (told func() News, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var last News
	ended := make(chan error, 1)
	go func() {
		ended <- Watch(ctx, api, ListOptions{All: true, Roster: r}, changed, func(n News) {
			mu.Lock()
			defer mu.Unlock()
			last = n
		})
	}()
	synctest.Wait()
	return func() News {
			mu.Lock()
			defer mu.Unlock()
			return last
		}, func() error {
			cancel()
			return <-ended
		}
}

func TestAWatchSubscribesBeforeItLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newWatched()
		_, stop := watching(t, api)
		if got := strings.Join(api.calls, " "); got != "time events list" {
			t.Errorf("asked for %s", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if api.lists != 1 {
			t.Errorf("%d lists though nothing happened", api.lists)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestAStormCostsFewLists(t *testing.T) {
	for name, listTime := range map[string]time.Duration{"quick lists": 5 * time.Millisecond, "slow lists": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newWatched()
				told, stop := watching(t, api)
				api.listTime = listTime
				// 200 sessions are made and started, 10 ms each.
				for i := range 200 {
					id := fmt.Sprint("s", i)
					api.set(id, events.ActionCreate, container.StateCreated)
					time.Sleep(5 * time.Millisecond)
					api.set(id, events.ActionStart, container.StateRunning)
					time.Sleep(5 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				running := 0
				for _, s := range told().Sessions {
					if s.State == Running {
						running++
					}
				}
				if running != 200 {
					t.Errorf("%d of 200 are shown as running", running)
				}
				if most := 2 + int(2*time.Second/quiet) + 1; api.lists > most {
					t.Errorf("%d lists for 400 events within 2 seconds", api.lists)
				}
				_ = stop()
			})
		})
	}
}

// Engines answer from a copy that is renewed after they told of an exit.
func TestAListThatIsBehindIsMadeAgain(t *testing.T) {
	for name, c := range map[string]struct {
		action events.Action
		state  container.ContainerState
		want   State
	}{
		"an exit":  {events.ActionDie, container.StateExited, Stopped},
		"a pause":  {events.ActionPause, container.StatePaused, Paused},
		"a resume": {events.ActionUnPause, container.StateRunning, Running},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newWatched()
				api.states["s"] = container.StateRunning
				if c.want == Running {
					api.states["s"] = container.StatePaused
				}
				told, stop := watching(t, api)
				time.Sleep(time.Second)
				api.mu.Lock()
				api.behind = 3
				api.mu.Unlock()
				api.set("s", c.action, c.state)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := told().Sessions[0].State; got != c.want {
					t.Errorf("it is %s, and shown as %s", c.want, got)
				}
				if api.lists != 1+3+1 {
					t.Errorf("%d lists", api.lists)
				}
				_ = stop()
			})
		})
	}
}

func TestAnEngineThatNeverShowsWhatItToldIsNotAskedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newWatched()
		api.states["s"] = container.StateRunning
		_, stop := watching(t, api)
		api.set("s", events.ActionDie, container.StateRunning)
		time.Sleep(time.Hour)
		synctest.Wait()
		if most := 2 + looks; api.lists > most {
			t.Errorf("%d lists", api.lists)
		}
		_ = stop()
	})
}

func TestAWatchGoesOnWhenTheEngineIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newWatched()
		told, stop := watching(t, api)
		api.set("s", events.ActionStart, container.StateRunning)
		last := time.Now()
		time.Sleep(time.Second)
		api.mu.Lock()
		api.down = errors.New("connection refused")
		api.mu.Unlock()
		api.errs <- io.ErrUnexpectedEOF
		time.Sleep(time.Minute)
		if err := told().Err; err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("told %v", err)
		}
		api.mu.Lock()
		tried := len(api.calls)
		if tried > 40 {
			t.Errorf("asked %d times within a minute", tried)
		}
		api.down = nil
		delete(api.states, "s")
		api.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := told(); n.Err != nil || len(n.Sessions) != 0 {
			t.Errorf("told %v", n)
		}
		if got, want := api.since[1], fmt.Sprintf("%d.%09d", last.Unix(), last.Nanosecond()); got != want {
			t.Errorf("events are wanted since %s, not since the last one at %s", got, want)
		}
		_ = stop()
	})
}

func TestAWatchThatCannotBeginFails(t *testing.T) {
	api := newWatched()
	api.down = errors.New("connection refused")
	if err := Watch(t.Context(), api, ListOptions{}, nil, func(News) { t.Error("told") }); err == nil {
		t.Error("no error")
	}
}

func TestAWatchShowsWhatRecordsTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, book, changed := newWatched(), &kept{}, make(chan struct{}, 1)
		told, stop := watchingRecords(t, api, book, changed)
		win := machine("bbbbbbbbbbbbbbbb", "win")
		book.set(nil, win)
		changed <- struct{}{}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := told(); n.Unread != nil || len(n.Sessions) != 1 || n.Sessions[0].Name != "win" {
			t.Errorf("told %+v", n)
		}
		// What cannot be read is tried again without an event, but not for ever.
		book.set(errors.New("damaged"), win)
		changed <- struct{}{}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := told(); n.Err != nil || n.Unread == nil || len(n.Sessions) != 1 {
			t.Errorf("told %+v", n)
		}
		book.set(nil, win)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := told(); n.Unread != nil {
			t.Errorf("told %+v", n)
		}
		before := api.lists
		time.Sleep(time.Hour)
		synctest.Wait()
		if api.lists != before {
			t.Errorf("%d lists though all can be read", api.lists-before)
		}
		book.set(errors.New("damaged"), win)
		changed <- struct{}{}
		time.Sleep(time.Hour)
		synctest.Wait()
		if most := before + 1 + looks; api.lists > most {
			t.Errorf("%d lists", api.lists-before)
		}
		_ = stop()
	})
}
