package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// Lifetimes knows when sessions expire.
type Lifetimes interface {
	// Status returns when a session, by its container's id, is acted on.
	Status(id string) (expires time.Time, reason string, ok bool)
	Extend(ctx context.Context, id string, by time.Duration) (time.Time, error)
}

func (s *Server) sessionExpiry(w http.ResponseWriter, r *http.Request) error {
	e := helperapi.Expiry{Session: r.PathValue("id")}
	e.Expires, e.Reason, _ = s.Lifetimes.Status(e.Session)
	return writeJSON(w, e)
}

// longest bounds an extension: a slip of the finger is not to keep a session for
// ever.
const longest = 366 * 24 * time.Hour

func (s *Server) extendSession(w http.ResponseWriter, r *http.Request) error {
	var by helperapi.Extension
	if err := s.readJSON(r, &by); err != nil {
		return err
	}
	if by.Seconds <= 0 || by.Seconds > int64(longest/time.Second) {
		return helperapi.Invalid(errors.New("a session is extended by a second to a year"))
	}
	id := r.PathValue("id")
	until, err := s.Lifetimes.Extend(r.Context(), id, time.Duration(by.Seconds)*time.Second)
	if err != nil {
		return err
	}
	_, reason, _ := s.Lifetimes.Status(id)
	return writeJSON(w, helperapi.Expiry{Session: id, Expires: until, Reason: reason})
}
