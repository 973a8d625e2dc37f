package server

import (
	"context"
	"net/http"
	"time"

	"github.com/docker/docker/api/types"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// Engine is what is asked of the engine to tell whether it is reached.
type Engine interface {
	ServerVersion(ctx context.Context) (types.Version, error)
}

// Watcher knows the availability of workspaces.
type Watcher interface {
	Status(name string) (availability.Entry, bool)
	All() map[string]availability.Entry
	Stats() availability.Stats
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readyz tells whether the engine is reached: without it, the helper can keep
// files only.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.Engine.ServerVersion(r.Context()); err != nil {
		return &helperapi.Problem{
			Type: helperapi.KindInternal, Title: "Not ready", Status: http.StatusServiceUnavailable,
			Detail: "the helper does not reach its engine: " + err.Error(),
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, s.Version)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	st := helperapi.Status{
		VersionInfo: s.Version, Started: s.Started,
		Workspaces: s.byAvailability(), BadFiles: s.badFiles(), Tasks: s.byState(),
	}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if v, err := s.Engine.ServerVersion(ctx); err == nil {
		st.Engine = helperapi.EngineStatus{Connected: true, Version: v.Version}
	}
	if s.Disk != nil {
		st.Disk = s.Disk(ctx)
	}
	for _, reg := range s.Watcher.Stats().Registries {
		st.Registries = append(st.Registries, helperapi.RegistryStatus{Host: reg.Host, Asked: reg.Asked, Next: reg.Next, Error: reg.Err, Requests: reg.Requests})
	}
	return writeJSON(w, st)
}

func (s *Server) byAvailability() map[availability.State]int {
	counts := map[availability.State]int{}
	for _, e := range s.Watcher.All() {
		counts[e.State]++
	}
	return counts
}

func (s *Server) byState() map[task.State]int {
	counts := map[task.State]int{}
	for _, t := range s.Tasks.List(task.Filter{}) {
		counts[t.State]++
	}
	return counts
}

func (s *Server) badFiles() int {
	n := 0
	for _, e := range s.Shelf.List() {
		if e.Err != nil {
			n++
		}
	}
	return n
}
