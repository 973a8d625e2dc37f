package server

import (
	"context"
	"net/http"
	"time"

	"github.com/docker/docker/api/types"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// Engine is what is asked of the engine to tell whether it is reached.
type Engine interface {
	ServerVersion(ctx context.Context) (types.Version, error)
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
	st := helperapi.Status{VersionInfo: s.Version, Started: s.Started}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if v, err := s.Engine.ServerVersion(ctx); err == nil {
		st.Engine = helperapi.EngineStatus{Connected: true, Version: v.Version}
	}
	for _, e := range s.Shelf.List() {
		if e.Err != nil {
			st.BadFiles++
		}
	}
	return writeJSON(w, st)
}
