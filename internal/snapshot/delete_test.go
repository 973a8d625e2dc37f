package snapshot

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/system"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// standing is an engine with one session that stands still, and what has happened to
// it since its snapshot began.
type standing struct {
	API
	happened []events.Action
	removed  bool
}

func (*standing) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	return stoodStill(), nil
}

func (*standing) Info(context.Context) (system.Info, error) {
	return system.Info{SystemTime: time.Unix(100, 0).Format(time.RFC3339Nano)}, nil
}

func (s *standing) Events(context.Context, events.ListOptions) (<-chan events.Message, <-chan error) {
	messages, ended := make(chan events.Message), make(chan error, 1)
	go func() {
		for _, action := range s.happened {
			messages <- events.Message{Action: action}
		}
		ended <- io.EOF
	}()
	return messages, ended
}

func (s *standing) ContainerRemove(context.Context, string, container.RemoveOptions) error {
	s.removed = true
	return nil
}

func stoodStill() container.InspectResponse {
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{
		State: &container.State{Running: true, Paused: true, StartedAt: "2024-05-06T07:08:09Z"},
	}}
}

func TestASessionThatWentOnAndStandsStillAgainIsNotDeleted(t *testing.T) {
	const pause, resume = events.ActionPause, events.ActionUnPause
	for name, c := range map[string]struct {
		held     bool
		happened []events.Action
		deleted  bool
	}{
		"it was paused, and stays so": {false, nil, true},
		"it was paused, and went on":  {false, []events.Action{resume, pause}, false},
		"it is held still":            {true, []events.Action{pause}, true},
		"it was resumed just before":  {true, []events.Action{resume, pause}, true},
		"it was held, and went on":    {true, []events.Action{pause, resume, pause}, false},
	} {
		t.Run(name, func(t *testing.T) {
			api := &standing{happened: c.happened}
			j := &job{Pipeline: &Pipeline{API: api}, note: note{holding: c.held}, plan: &plan{session: session.Session{ID: "id", Name: "s"}, container: stoodStill()}}
			resumed, err := j.wasResumed(t.Context())
			if err != nil || resumed == c.deleted {
				t.Errorf("resumed: %v, %v", resumed, err)
			}
			if c.held && resumed {
				return // what comes then is told to the lock
			}
			err = j.delete(t.Context())
			if api.removed != c.deleted || c.deleted != (err == nil) || err != nil && !strings.Contains(err.Error(), "was resumed meanwhile") {
				t.Errorf("deleted: %v, %v", api.removed, err)
			}
		})
	}
}
