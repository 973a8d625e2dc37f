package session

import (
	"context"
	"errors"
	"slices"

	"github.com/docker/docker/api/types/filters"

	"github.com/docker-kasm/docker-kasm/internal/roster"
)

// Roster knows the sessions that no label tells of.
type Roster interface {
	// Records returns those that can be read, and the errors of all others. answers
	// is false where the engine does not answer: it is then not asked for its helper.
	Records(ctx context.Context, answers bool) ([]roster.Record, error)
	// AtOnce tells whether the engine may well be asked two things at the same time:
	// another connection to it costs nothing.
	AtOnce() bool
	// Missing is told the records of containers that the engine does not list: it
	// may drop those whose container is gone for good.
	Missing(ctx context.Context, records []roster.Record)
}

// records begins to ask r, nil if there is none. The function that is returned gives
// the answer once it is known whether the engine answers. Where a second connection
// costs something, such as another log-in by ssh, it is the one that is there by then
// which a question about the helper uses.
func records(ctx context.Context, r Roster) func(answers bool) ([]roster.Record, error) {
	switch {
	case r == nil:
		return func(bool) ([]roster.Record, error) { return nil, nil }
	case !r.AtOnce():
		return func(answers bool) ([]roster.Record, error) { return r.Records(ctx, answers) }
	}
	var list []roster.Record
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		list, err = r.Records(ctx, true)
	}()
	return func(bool) ([]roster.Record, error) {
		<-done
		return list, err
	}
}

// adopt makes sessions of the containers that have a record, and returns the
// records of containers that are not among them. A user's record goes before that
// of the engine's catalog.
func adopt(sessions []Session, list []roster.Record) (missing []roster.Record) {
	byContainer := map[string]*roster.Record{}
	for i, r := range list {
		if r.Kind != roster.Adopted {
			continue
		}
		if known := byContainer[r.Container]; known == nil || known.Scope == ScopeEngine {
			byContainer[r.Container] = &list[i]
		}
	}
	for i := range sessions {
		s := &sessions[i]
		r := byContainer[s.ID]
		if r == nil {
			continue
		}
		delete(byContainer, s.ID)
		// A container that says itself what it is needs no record.
		if s.Kind == Plain {
			s.Kind, s.Record = Adopted, r
			s.SessionID, s.Workspace, s.Scope, s.User, s.Open = r.ID, r.Workspace, r.Scope, r.User, r.Open
		}
	}
	for _, r := range byContainer {
		missing = append(missing, *r)
	}
	return missing
}

// servers are the sessions of server workspaces among the records.
func servers(list []roster.Record, args filters.Args) []Session {
	var out []Session
	for _, r := range list {
		if r.Kind != roster.Server {
			continue
		}
		if s := OfServer(r); matches(s, args) && matchesEngine(s, args) {
			out = append(out, s)
		}
	}
	return out
}

// OfServer is the session of a server workspace that r is the record of.
func OfServer(r roster.Record) Session {
	return Session{
		Name: r.Name, SessionID: r.ID, Kind: Server, Workspace: r.Workspace, Scope: r.Scope, User: r.User,
		State: External, Created: r.Created, URL: r.Address, SizeRw: -1, SizeRootFs: -1, Record: &r,
	}
}

// matchesEngine applies the engine's own filters to a session that is none of its
// containers: it has a name and an id, and nothing else that they look at.
func matchesEngine(s Session, args filters.Args) bool {
	for _, key := range args.Keys() {
		switch {
		case slices.Contains(ownFilters(), key):
		case key == "name" && args.Match("name", s.Name):
		case key == "id" && args.Match("id", s.SessionID):
		default:
			return false
		}
	}
	return true
}

// engineError is an error of the engine's list of containers.
type engineError struct{ err error }

func (e *engineError) Error() string { return e.err.Error() }
func (e *engineError) Unwrap() error { return e.err }

// recordsError is an error of a Roster.
type recordsError struct{ err error }

func (e *recordsError) Error() string { return e.err.Error() }
func (e *recordsError) Unwrap() error { return e.err }

// Unread tells whether all that is wrong with a list, or with the answer that a
// session is not found, is that records cannot be read.
func Unread(err error) bool {
	var records *recordsError
	return errors.As(err, &records) && !Silent(err)
}

// Silent tells whether an error of List or Find means that the engine's containers
// are not known.
func Silent(err error) bool {
	var engine *engineError
	return errors.As(err, &engine)
}

// partial is what a name is told that was not found in a list with an error. What
// an engine that did not answer has nobody knows.
func partial(missing, list error) error {
	var none *NotFoundError
	switch {
	case list == nil:
		return missing
	case Silent(list) && errors.As(missing, &none):
		return list
	case errors.As(missing, &none):
		return errors.Join(missing, list)
	}
	return missing
}
