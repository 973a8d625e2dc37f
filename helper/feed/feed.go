// Package feed tells everyone who listens what happens.
package feed

import (
	"sync"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// waiting is how many events wait for one listener.
const waiting = 256

// Feed passes events on. Its zero value is ready.
type Feed struct {
	mu        sync.Mutex
	listeners map[chan helperapi.Event]struct{}
}

// Listen returns what happens from now on, until stop is called. The channel is
// closed when events were lost because they were not taken in time.
func (f *Feed) Listen() (events <-chan helperapi.Event, stop func()) {
	c := make(chan helperapi.Event, waiting)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[chan helperapi.Event]struct{}{}
	}
	f.listeners[c] = struct{}{}
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(c)
	}
}

func (f *Feed) drop(c chan helperapi.Event) {
	if _, ok := f.listeners[c]; ok {
		delete(f.listeners, c)
		close(c)
	}
}

// Publish tells an event. It waits for nobody.
func (f *Feed) Publish(e helperapi.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.listeners {
		select {
		case c <- e:
		default:
			f.drop(c)
		}
	}
}
