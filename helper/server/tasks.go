package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// Jobs begins tasks.
type Jobs interface {
	Submit(ctx context.Context, owner string, n helperapi.NewTask) (task.Task, error)
	Retry(id string, c helperapi.Credentials) (task.Task, error)
}

func (s *Server) listTasks(w http.ResponseWriter, _ *http.Request) error {
	list := s.Tasks.List(task.Filter{})
	if list == nil {
		list = []task.Task{}
	}
	return writeJSON(w, helperapi.TaskList{Tasks: list})
}

func (s *Server) submitTask(w http.ResponseWriter, r *http.Request) error {
	var n helperapi.NewTask
	if err := s.readJSON(r, &n); err != nil {
		return err
	}
	t, err := s.Jobs.Submit(r.Context(), r.Header.Get(helperapi.HeaderUser), n)
	if err != nil {
		return err
	}
	return accepted(w, t)
}

func accepted(w http.ResponseWriter, t task.Task) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", "/"+helperapi.Version+"/tasks/"+t.ID)
	w.WriteHeader(http.StatusAccepted)
	return writeJSON(w, t)
}

func (s *Server) getTask(w http.ResponseWriter, r *http.Request) error {
	t, err := s.Tasks.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, t)
}

func (s *Server) cancelTask(w http.ResponseWriter, r *http.Request) error {
	if err := s.Tasks.Cancel(r.PathValue("id")); err != nil {
		return err
	}
	t, err := s.Tasks.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	return accepted(w, t)
}

func (s *Server) retryTask(w http.ResponseWriter, r *http.Request) error {
	var again helperapi.RetryTask
	if err := s.readJSON(r, &again); err != nil {
		return err
	}
	t, err := s.Jobs.Retry(r.PathValue("id"), again.Credentials)
	if err != nil {
		return err
	}
	return accepted(w, t)
}

func (s *Server) deleteTask(w http.ResponseWriter, r *http.Request) error {
	if err := s.Tasks.Remove(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// taskLog sends a line of JSON for each line of a log.
func (s *Server) taskLog(w http.ResponseWriter, r *http.Request) error {
	follow := r.URL.Query().Get("follow") == "true"
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-s.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	lines, err := s.Tasks.Logs(ctx, r.PathValue("id"), follow)
	if err != nil {
		return err
	}
	stream := newStream(w, "application/x-ndjson")
	for line, err := range lines {
		if err != nil {
			return err
		}
		if err := stream.send(line); err != nil {
			return err
		}
	}
	return nil
}

// stream is an answer of lines that are sent as they come. It may go on for
// ever, but a client has to take each line in time.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newStream(w http.ResponseWriter, contentType string) stream {
	w.Header().Set("Content-Type", contentType)
	s := stream{w, http.NewResponseController(w)}
	_ = s.control.SetReadDeadline(time.Time{})
	_ = s.control.SetWriteDeadline(time.Now().Add(slow))
	w.WriteHeader(http.StatusOK)
	_ = s.control.Flush()
	_ = s.control.SetWriteDeadline(time.Time{})
	return s
}

func (s stream) send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(append(data, '\n'))
}

func (s stream) write(data []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(slow))
	_, err := s.w.Write(data)
	if err == nil {
		err = s.control.Flush()
	}
	_ = s.control.SetWriteDeadline(time.Time{})
	return err
}

// readJSON reads a request's body, which has nothing in it that is not known.
func (s *Server) readJSON(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		if strings.HasPrefix(err.Error(), "json: unknown field") {
			return helperapi.Invalid(fmt.Errorf("the helper (%s) does not know a field of the request: it may be older than the plugin, see `docker kasm helper upgrade`", s.Version.Version))
		}
		return helperapi.Invalid(fmt.Errorf("read the request: %w", bare(err)))
	}
	return nil
}

// bare is an error of a JSON decoder without the text it stumbled over, which may
// be a credential.
func bare(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s has a value of the wrong kind", wrong.Field)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("no JSON at byte %d", syntax.Offset)
	}
	return errors.New("it is not what is asked for")
}
