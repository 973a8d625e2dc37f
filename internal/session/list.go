package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sync/errgroup"
)

// Lister is what is asked of the engine to list sessions.
type Lister interface {
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
}

// ListOptions select sessions.
type ListOptions struct {
	// All includes sessions that are neither running nor paused.
	All bool
	// Size asks for disk sizes, which the engine computes file by file.
	Size bool
	// Filters are the container filters of `docker ps`, and our own: state,
	// workspace, user and kind.
	Filters filters.Args
	// Plain includes containers that are no sessions.
	Plain bool
	// Roster knows the sessions that no label tells of; nil is for none.
	Roster Roster
	// ByImage returns the name and friendly name of the one workspace that has an
	// image, by reference or id, and "" if there is none, or several. It is asked
	// about sessions whose labels do not tell their workspace, once Filters have
	// been applied; nil leaves those.
	ByImage func(image, id string) (name, friendly string)
	// Inspect is used to look for the user of sessions whose labels do not tell
	// it, a call each; nil leaves those.
	Inspect func(ctx context.Context, id string) (container.InspectResponse, error)
}

// ownFilters are applied here; all others are the engine's.
func ownFilters() []string { return []string{"state", "workspace", "user", "kind"} }

// List returns the sessions, newest first, from one list call. A second one is
// made only where a container may have inherited its session labels. Sessions that
// could be found are returned with an error, too: those of server workspaces where
// the engine does not answer, and all that the engine has where records of others
// cannot be read.
func List(ctx context.Context, api Lister, opts ListOptions) ([]Session, error) {
	theirs := filters.NewArgs()
	for _, key := range opts.Filters.Keys() {
		if slices.Contains(ownFilters(), key) {
			continue
		}
		for _, v := range opts.Filters.Get(key) {
			theirs.Add(key, v)
		}
	}
	if err := checkOwnFilters(opts.Filters); err != nil {
		return nil, err
	}
	// A wanted state that is not an active one can only be found among all.
	all := opts.All || opts.Filters.Contains("state")
	recorded := records(ctx, opts.Roster)
	list, err := api.ContainerList(ctx, container.ListOptions{All: all, Size: opts.Size, Filters: theirs})
	known, unread := recorded(err == nil)
	if unread != nil {
		unread = &recordsError{unread}
	}
	if err != nil {
		return servers(known, opts.Filters), errors.Join(&engineError{fmt.Errorf("list sessions: %w", err)}, unread)
	}
	sessions := make([]Session, 0, len(list))
	for _, c := range list {
		s := Summary(c)
		if !opts.Size {
			s.SizeRw, s.SizeRootFs = -1, -1
		}
		if s.Kind != Plain || opts.Plain || len(known) > 0 {
			sessions = append(sessions, s)
		}
	}
	if err := disownInherited(ctx, api, sessions); err != nil {
		return servers(known, opts.Filters), errors.Join(&engineError{err}, unread)
	}
	if missing := adopt(sessions, known); len(missing) > 0 && all && theirs.Len() == 0 {
		opts.Roster.Missing(ctx, missing)
	}
	opts.findUsers(ctx, sessions)
	sessions = slices.DeleteFunc(sessions, func(s Session) bool {
		return s.Kind == Plain && !opts.Plain || !matches(s, opts.Filters)
	})
	opts.guess(sessions)
	sessions = append(sessions, servers(known, opts.Filters)...)
	slices.SortStableFunc(sessions, func(a, b Session) int { return cmp.Compare(b.Created.Unix(), a.Created.Unix()) })
	return sessions, unread
}

// made tells whether somebody else has made a session, of a Kasm image.
func (s Session) made() bool { return s.Kind == Agent || s.Kind == Image }

// findUsers looks for the users that labels do not tell.
func (o ListOptions) findUsers(ctx context.Context, sessions []Session) {
	if o.Inspect == nil {
		return
	}
	var looks errgroup.Group
	looks.SetLimit(16)
	for i := range sessions {
		s := &sessions[i]
		if !s.made() || s.User != "" {
			continue
		}
		looks.Go(func() error {
			// One that is gone by now, or cannot be looked at, hides nothing.
			if c, err := o.Inspect(ctx, s.ID); err == nil && c.Config != nil {
				s.User = kasmUser(c.Config.Env)
			}
			return nil
		})
	}
	_ = looks.Wait()
}

// guess adds the workspaces that only images tell. It comes after all filters: what
// is done with the sessions of a workspace is not to be done with others.
func (o ListOptions) guess(sessions []Session) {
	if o.ByImage == nil {
		return
	}
	for i := range sessions {
		if s := &sessions[i]; s.made() && s.Workspace == "" {
			s.Workspace, s.ByImage = o.ByImage(s.Image, s.ImageID)
		}
	}
}

// disownInherited corrects sessions whose labels stem from their image.
func disownInherited(ctx context.Context, api Lister, sessions []Session) error {
	// In this order: what is left of one may be taken for an agent's.
	for _, c := range []struct {
		label   string
		suspect func(Session) bool
	}{
		{LabelSession, func(s Session) bool { return s.Kind == Managed && s.Labels[LabelName] != s.Name }},
		{labelAgent, func(s Session) bool { return s.Kind == Agent }},
	} {
		label, suspect := c.label, c.suspect
		if !slices.ContainsFunc(sessions, suspect) {
			continue
		}
		images, err := api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label))})
		if err != nil {
			return fmt.Errorf("list images that carry session labels: %w", err)
		}
		inherited := make(map[string]string, len(images))
		for _, img := range images {
			inherited[img.ID] = img.Labels[label]
		}
		for i := range sessions {
			s := &sessions[i]
			if v, ok := inherited[s.ImageID]; ok && suspect(*s) && v == s.SessionID {
				s.disown(label)
			}
		}
	}
	return nil
}

func checkOwnFilters(args filters.Args) error {
	for _, v := range args.Get("state") {
		if !slices.Contains(States(), State(v)) {
			return &FilterError{Key: "state", Value: v, Allowed: join(States())}
		}
	}
	kinds := Kinds()
	for _, v := range args.Get("kind") {
		if !slices.Contains(kinds, Kind(v)) {
			return &FilterError{Key: "kind", Value: v, Allowed: join(kinds)}
		}
	}
	return nil
}

// FilterError is a filter value that cannot match anything.
type FilterError struct{ Key, Value, Allowed string }

func (e *FilterError) Error() string {
	return fmt.Sprintf("invalid value %q for filter %s: use one of %s", e.Value, e.Key, e.Allowed)
}

func matches(s Session, args filters.Args) bool {
	return args.ExactMatch("state", string(s.State)) && args.ExactMatch("workspace", s.Workspace) &&
		args.ExactMatch("user", s.User) && args.ExactMatch("kind", string(s.Kind))
}

func join[T ~string](words []T) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}

// Names lists the names of the sessions that v may be done with, without those
// in except.
func Names(sessions []Session, v Verb, except []string) []string {
	var names []string
	for _, s := range sessions {
		if s.Check(v) == nil && !slices.Contains(except, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}
