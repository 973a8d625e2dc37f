package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func (s *Server) listWorkspaces(w http.ResponseWriter, _ *http.Request) error {
	list := helperapi.WorkspaceList{Workspaces: []helperapi.Workspace{}}
	for _, e := range s.Shelf.List() {
		if e.Err != nil {
			list.BadFiles = append(list.BadFiles, helperapi.BadFile{Name: e.Name, Error: e.Err.Error()})
			continue
		}
		list.Workspaces = append(list.Workspaces, s.wire(e))
	}
	return writeJSON(w, list)
}

func (s *Server) wire(e shelf.Entry) helperapi.Workspace {
	ws := helperapi.Workspace{
		Name: e.Name, Revision: e.Revision, Text: e.Text,
		Changed: &helperapi.Change{By: e.Changed.By, Time: e.Changed.Time},
	}
	if st, ok := s.Watcher.Status(e.Name); ok {
		available := helperapi.Available(st)
		ws.Availability = &available
	}
	return ws
}

func (s *Server) getWorkspace(w http.ResponseWriter, r *http.Request) error {
	e, err := s.entry(r)
	if err != nil {
		return err
	}
	if e.Revision == "" {
		return e.Err
	}
	w.Header().Set("ETag", etag(e.Revision))
	return writeJSON(w, s.wire(e))
}

func (s *Server) entry(r *http.Request) (shelf.Entry, error) {
	name := r.PathValue("name")
	if err := workspace.ValidName(name); err != nil {
		return shelf.Entry{}, helperapi.Invalid(err)
	}
	return s.Shelf.Get(name)
}

func (s *Server) putWorkspace(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := workspace.ValidName(name); err != nil {
		return helperapi.Invalid(err)
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	by := r.Header.Get(helperapi.HeaderUser)
	var e shelf.Entry
	status := http.StatusOK
	if r.Header.Get("If-None-Match") == "*" {
		status = http.StatusCreated
		e, err = s.Shelf.Create(r.Context(), by, name, data)
	} else {
		var revision string
		if revision, err = expected(r); err == nil {
			e, err = s.Shelf.Replace(r.Context(), by, name, revision, data)
		}
	}
	if err != nil {
		return s.conflict(name, err)
	}
	w.Header().Set("ETag", etag(e.Revision))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return writeJSON(w, s.wire(e))
}

func (s *Server) deleteWorkspace(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := workspace.ValidName(name); err != nil {
		return helperapi.Invalid(err)
	}
	revision, err := expected(r)
	if err == nil {
		err = s.Shelf.Remove(r.Context(), name, revision)
	}
	if err != nil {
		return s.conflict(name, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// expected returns the revision that a request asks for, "" for any. One that
// does not say is refused: whoever changes a file is to have seen it.
func expected(r *http.Request) (string, error) {
	switch tag := r.Header.Get("If-Match"); {
	case tag == "*":
		return "", nil
	case len(tag) > 2 && strings.HasPrefix(tag, `"`) && strings.HasSuffix(tag, `"`):
		return tag[1 : len(tag)-1], nil
	case tag == "":
		return "", &helperapi.Problem{
			Type: helperapi.KindInvalid, Title: "Precondition required", Status: http.StatusPreconditionRequired,
			Detail: "say with If-Match which revision of the file is to be changed, or with If-None-Match: * that there is to be none",
		}
	}
	return "", helperapi.Invalid(errors.New("If-Match is no entity tag"))
}

func etag(revision string) string { return `"` + revision + `"` }

// conflict adds to an error about a concurrent change who made that, and the
// file as it is now.
func (s *Server) conflict(name string, err error) error {
	if !errors.Is(err, workspace.ErrConflict) {
		return err
	}
	// It may have been made by hand this moment.
	if again := s.Shelf.Reload(); again != nil {
		return errors.Join(err, again)
	}
	e, gone := s.Shelf.Get(name)
	if gone != nil || e.Revision == "" {
		return err
	}
	p := helperapi.AsProblem(err)
	current := s.wire(e)
	p.Current = &current
	return p
}
