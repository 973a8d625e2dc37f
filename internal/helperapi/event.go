package helperapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/lifetime"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// EventType says what an event is about: which field of it is set.
type EventType string

// The types of events.
const (
	// EventReady comes first: what happens from then on is told.
	EventReady EventType = "ready"
	// EventAvailability is about a workspace's image.
	EventAvailability EventType = "availability"
	// EventCatalog means that workspace files have changed.
	EventCatalog  EventType = "catalog"
	EventTask     EventType = "task"
	EventLifetime EventType = "lifetime"
)

// Event is something that has happened. Of the fields but Type and Time, that of
// its type is set.
type Event struct {
	Type         EventType           `json:"Type"`
	Time         time.Time           `json:"Time"`
	Availability *AvailabilityChange `json:"Availability,omitempty"`
	Task         *TaskChange         `json:"Task,omitempty"`
	Lifetime     *lifetime.Event     `json:"Lifetime,omitempty"`
}

// AvailabilityChange tells of another state of a workspace's image.
type AvailabilityChange struct {
	Workspace string `json:"Workspace"`
	// Was is the former state, "" for a workspace that is new.
	Was availability.State `json:"Was,omitempty"`
	// Now is zero for a workspace that is gone.
	Now Availability `json:"Now"`
}

// TaskChange tells of a task.
type TaskChange struct {
	ID      string     `json:"ID"`
	Kind    string     `json:"Kind"`
	Subject string     `json:"Subject"`
	State   task.State `json:"State"`
	Step    string     `json:"Step,omitempty"`
	Reason  string     `json:"Reason,omitempty"`
	// Removed is set for one that is gone.
	Removed bool `json:"Removed,omitempty"`
}

// ErrMissed means that events were lost: what they were about is to be looked at
// again.
var ErrMissed = errors.New("events of the helper were missed")

// Events listens to what happens, until ctx ends.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		resp, err := c.do(ctx, request{method: http.MethodGet, path: "/" + Version + "/events"})
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = ErrMissed
				}
				yield(Event{}, fmt.Errorf("listen to the helper: %w", err))
				return
			}
			data, ok := bytes.CutPrefix(line, []byte("data: "))
			if !ok {
				continue // the type, which is in the data too, or a sign of life
			}
			var e Event
			if err := json.Unmarshal(data, &e); err != nil {
				yield(Event{}, fmt.Errorf("listen to the helper: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
