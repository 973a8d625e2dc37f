package task

import "context"

// EventType says what an event tells.
type EventType string

// The types of events.
const (
	// Changed has a task that is new or has changed.
	Changed EventType = "changed"
	// Removed has a task as it was before.
	Removed EventType = "removed"
	// Resync stands for events that were lost because they were not taken in
	// time: List tells what they would have.
	Resync EventType = "resync"
)

// Event tells of a change of one task, or of changes that were lost.
type Event struct {
	Type EventType `json:"Type"`
	Task Task      `json:"Task,omitzero"`
}

// maxEvents is how many wait for one subscriber.
const maxEvents = 256

// Subscription receives all changes of tasks, from when it was made.
type Subscription struct {
	store *Store
	// events are of the store's mu.
	events []Event
	ready  chan struct{}
}

// Subscribe begins to receive changes; List after it misses none. It must be
// closed.
func (s *Store) Subscribe() *Subscription {
	sub := &Subscription{store: s, ready: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers[sub] = true
	return sub
}

// Close ends the subscription.
func (sub *Subscription) Close() {
	sub.store.mu.Lock()
	defer sub.store.mu.Unlock()
	delete(sub.store.subscribers, sub)
	sub.events = nil
	sub.tell()
}

// Next waits for the next event. It is called by one at a time. ErrClosed means
// that none comes any more.
func (sub *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		event, ok, closed := sub.take()
		switch {
		case ok:
			return event, nil
		case closed:
			return Event{}, ErrClosed
		}
		select {
		case <-sub.ready:
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

func (sub *Subscription) take() (event Event, ok, closed bool) {
	s := sub.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(sub.events) == 0 {
		return Event{}, false, s.closed || !s.subscribers[sub]
	}
	event = sub.events[0]
	sub.events = sub.events[1:]
	event.Task = event.Task.clone()
	return event, true, false
}

func (sub *Subscription) tell() {
	select {
	case sub.ready <- struct{}{}:
	default:
	}
}

// publish never waits. It is called under mu.
func (s *Store) publish(event Event) {
	for sub := range s.subscribers {
		if len(sub.events) >= maxEvents {
			sub.events = []Event{{Type: Resync}}
		} else {
			sub.events = append(sub.events, event)
		}
		sub.tell()
	}
}
