package session

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
)

// NotFoundError says that no session has the given name or id.
type NotFoundError struct {
	Name string
	// Near are names that look alike.
	Near []string
	// Plain is set when a container of that name exists but is no session.
	Plain bool
}

func (e *NotFoundError) Error() string {
	if e.Plain {
		return fmt.Sprintf("container %q is not a session: sessions are started with `docker kasm run`; `docker kasm session adopt` makes one of it", e.Name)
	}
	msg := fmt.Sprintf("no session %q", e.Name)
	if len(e.Near) == 0 {
		return msg + ": `docker kasm ls -a` lists them all"
	}
	quoted := make([]string, len(e.Near))
	for i, name := range e.Near {
		quoted[i] = strconv.Quote(name)
	}
	return msg + ": did you mean " + strings.Join(quoted, " or ") + "?"
}

// NotFound marks the error for errdefs.
func (*NotFoundError) NotFound() {}

// FindOption widens what is found.
type FindOption func(*findOptions)

type findOptions struct {
	list  ListOptions
	plain bool
}

// In finds the sessions that r knows, too.
func In(r Roster) FindOption { return func(o *findOptions) { o.list.Roster = r } }

// AnyContainer finds containers that are no sessions, too; they are of kind Plain.
func AnyContainer() FindOption { return func(o *findOptions) { o.plain = true } }

// ByImage tells the workspace of sessions as ListOptions.ByImage does.
func ByImage(of func(image, id string) (name, friendly string)) FindOption {
	return func(o *findOptions) { o.list.ByImage = of }
}

// Find returns the session that ref names: by name, by session id, or by a
// unique prefix of either id. The names of all sessions serve for suggestions.
func Find(ctx context.Context, api Lister, ref string, options ...FindOption) (Session, error) {
	found, err := FindAll(ctx, api, []string{ref}, options...)
	if err != nil {
		return Session{}, err
	}
	return found[0].Session, found[0].Err
}

// Found is the answer for one name of FindAll.
type Found struct {
	Session Session
	Err     error
}

// FindAll resolves several names with one list call. Each name has its own
// answer; the error is that of the call, where it left nothing to be found.
func FindAll(ctx context.Context, api Lister, refs []string, options ...FindOption) ([]Found, error) {
	o := findOptions{list: ListOptions{All: true, Plain: true}}
	for _, option := range options {
		option(&o)
	}
	all, err := List(ctx, api, o.list)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	out := make([]Found, len(refs))
	for i, ref := range refs {
		s, missing := pick(all, ref, o.plain)
		out[i] = Found{s, partial(missing, err)}
	}
	return out, nil
}

func pick(all []Session, ref string, plain bool) (Session, error) {
	name := strings.TrimPrefix(ref, "/")
	if name == "" {
		return Session{}, &NotFoundError{Name: ref}
	}
	var exact, byPrefix []Session
	for _, s := range all {
		switch {
		case s.Name == name || s.ID == name || s.SessionID == name:
			exact = append(exact, s)
		case strings.HasPrefix(s.ID, name) || strings.HasPrefix(s.SessionID, name):
			byPrefix = append(byPrefix, s)
		}
	}
	switch {
	case len(exact) > 1:
		// The names of containers and of server sessions are given apart.
		return Session{}, fmt.Errorf("%q is not unique: give the id of the session that is meant, as `docker kasm ls -a` shows it", ref)
	case len(exact) == 1:
		byPrefix = exact
	}
	switch {
	case len(byPrefix) == 1 && byPrefix[0].Kind == Plain && !plain:
		return Session{}, &NotFoundError{Name: ref, Plain: true}
	case len(byPrefix) == 1:
		return byPrefix[0], nil
	case len(byPrefix) > 1:
		return Session{}, fmt.Errorf("id %q is not unique: %d sessions begin with it; give more digits", ref, len(byPrefix))
	}
	return Session{}, &NotFoundError{Name: ref, Near: near(all, name)}
}

// near returns up to three session names that a slip of the hand away from name.
func near(all []Session, name string) []string {
	type scored struct {
		name  string
		score float64
	}
	var names []scored
	for _, s := range all {
		if s.Kind == Plain {
			continue
		}
		score := levenshtein.Match(name, s.Name, nil)
		if strings.HasPrefix(s.Name, name) || s.Workspace == name {
			score = 1
		}
		if score >= 0.6 {
			names = append(names, scored{s.Name, score})
		}
	}
	slices.SortStableFunc(names, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for i := 0; i < len(names) && i < 3; i++ {
		out = append(out, names[i].name)
	}
	return out
}
