package snapshot

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
)

func TestASessionThatGoesOnTooEarlyIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		actions []events.Action
		want    still
	}{
		"as it should be": {
			[]events.Action{events.ActionPause, events.ActionCommit, events.ActionUnPause},
			still{known: true, paused: true, resumed: true, time: 2},
		},
		"another resumes it": {
			[]events.Action{events.ActionPause, events.ActionUnPause, events.ActionCommit},
			still{known: true, paused: true, resumed: true, early: true, time: 1},
		},
		"it dies": {[]events.Action{events.ActionPause, events.ActionDie}, still{}},
	} {
		t.Run(name, func(t *testing.T) {
			var seen sequence
			for i, action := range c.actions {
				got, over := seen.add(events.Message{Action: action, TimeNano: int64(i) + int64(time.Hour)})
				if over {
					if got != c.want {
						t.Errorf("got %+v, want %+v", got, c.want)
					}
					return
				}
			}
			t.Error("no end was seen")
		})
	}
}
