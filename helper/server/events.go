package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// alive is how often a stream of events shows that it is there.
const alive = 15 * time.Second

// events sends what happens as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html). Its end means
// that some were lost.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	events, stop := s.Feed.Listen()
	defer stop()
	stream := newStream(w, "text/event-stream")
	if err := sendEvent(stream, helperapi.Event{Type: helperapi.EventReady, Time: time.Now()}); err != nil {
		return err
	}
	ticker := time.NewTicker(alive)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.ending:
			return nil
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if err := sendEvent(stream, e); err != nil {
				return err
			}
		case <-ticker.C:
			if err := stream.write([]byte(":\n\n")); err != nil {
				return err
			}
		}
	}
}

func sendEvent(s stream, e helperapi.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.write(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", e.Type, data))
}
