package server

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func (s *Server) listSessions(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Roster.List(r.Context())
	answer := helperapi.SessionList{Sessions: list}
	if list == nil {
		answer.Sessions = []roster.Record{}
	}
	var bad *roster.FileError
	for _, one := range unjoined(err) {
		if !errors.As(one, &bad) {
			return one
		}
		answer.BadFiles = append(answer.BadFiles, helperapi.BadFile{Name: bad.Name, Error: one.Error()})
	}
	return writeJSON(w, answer)
}

func unjoined(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

func (s *Server) putSession(w http.ResponseWriter, r *http.Request) error {
	var record roster.Record
	if err := s.readJSON(r, &record); err != nil {
		return err
	}
	record.ID = r.PathValue("id")
	if err := record.Check(); err != nil {
		return helperapi.Invalid(err)
	}
	if e, err := s.Shelf.Get(record.Workspace); err != nil || e.Workspace == nil {
		return helperapi.Invalid(fmt.Errorf("record session %q: %w %q in the engine's catalog", record.Name, workspace.ErrNotFound, record.Workspace))
	}
	if err := s.Roster.Add(r.Context(), record); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	return writeJSON(w, record)
}

func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := roster.ValidID(id); err != nil {
		return helperapi.Invalid(err)
	}
	if err := s.Roster.Remove(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
