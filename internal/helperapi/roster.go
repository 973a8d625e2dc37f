package helperapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// SessionList is the records of sessions that the helper keeps.
type SessionList struct {
	Sessions []roster.Record `json:"Sessions"`
	BadFiles []BadFile       `json:"BadFiles,omitempty"`
}

// Sessions asks for the records of the sessions of the engine's catalog that no
// label tells of, and returns the errors of all others joined. An older helper has
// none.
func (c *Client) Sessions(ctx context.Context) ([]roster.Record, error) {
	all, err := get[SessionList](ctx, c, "/"+Version+"/sessions")
	var p *Problem
	if errors.As(err, &p) && p.Type == KindUnknown {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []roster.Record
	var errs []error
	for _, r := range all.Sessions {
		r.Scope = session.ScopeEngine
		if err := r.Check(); err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, r)
	}
	for _, bad := range all.BadFiles {
		errs = append(errs, errors.New(bad.Error))
	}
	return list, errors.Join(errs...)
}

func recordPath(id string) string { return "/" + Version + "/sessions/" + url.PathEscape(id) }

// AddSession keeps a new record; roster.ErrExists if there is one of that id, or of
// a server session of that name.
func (c *Client) AddSession(ctx context.Context, r roster.Record) error {
	return c.call(ctx, request{method: http.MethodPut, path: recordPath(r.ID), body: r})
}

// RemoveSession removes a record; one that is gone already counts as removed.
func (c *Client) RemoveSession(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: recordPath(id)})
}
