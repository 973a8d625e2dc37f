package shelf

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Catalog is the shelf as somebody changes it. Its methods do what those of
// workspace.Catalog do.
type Catalog struct {
	shelf *Shelf
	by    string
}

// As returns the catalog whose changes are made in the name of by.
func (s *Shelf) As(by string) Catalog { return Catalog{s, by} }

// List returns the workspaces whose files can be read, sorted by name.
func (c Catalog) List(context.Context) ([]*workspace.Workspace, error) {
	return c.shelf.Workspaces(), nil
}

// Get reads one workspace.
func (c Catalog) Get(_ context.Context, name string) (*workspace.Workspace, error) {
	e, err := c.shelf.Get(name)
	if err != nil {
		return nil, err
	}
	return e.Workspace, e.Err
}

// GetIn reads one workspace for a session of that scope; the shelf has only those
// of the engine's.
func (c Catalog) GetIn(ctx context.Context, scope, name string) (*workspace.Workspace, error) {
	if scope != session.ScopeEngine {
		return nil, fmt.Errorf("%w %q: it is in a user's catalog", workspace.ErrNotFound, name)
	}
	return c.Get(ctx, name)
}

// CreateRaw adds a workspace.
func (c Catalog) CreateRaw(ctx context.Context, name string, data []byte) (*workspace.Workspace, error) {
	e, err := c.shelf.Create(ctx, c.by, name, data)
	return e.Workspace, err
}

// Update changes single keys.
func (c Catalog) Update(ctx context.Context, name, revision string, edits []workspace.Edit) (*workspace.Workspace, error) {
	if revision != "" {
		return c.update(ctx, name, revision, edits)
	}
	var ws *workspace.Workspace
	err := workspace.Again(func() (err error) {
		ws, err = c.update(ctx, name, "", edits)
		if errors.Is(err, workspace.ErrConflict) {
			if unread := c.shelf.Reload(); unread != nil {
				return unread
			}
		}
		return err
	})
	return ws, err
}

func (c Catalog) update(ctx context.Context, name, revision string, edits []workspace.Edit) (*workspace.Workspace, error) {
	e, err := c.shelf.Get(name)
	if err != nil {
		return nil, err
	}
	next, err := workspace.Apply([]byte(e.Text), edits)
	if err != nil {
		return nil, err
	}
	e, err = c.shelf.Replace(ctx, c.by, name, cmp.Or(revision, e.Revision), next)
	return e.Workspace, err
}

// UniqueName makes a free valid name from base.
func (c Catalog) UniqueName(ctx context.Context, base string) (string, error) {
	return c.shelf.catalog.UniqueName(ctx, base)
}

// Writable fails where CreateRaw would, whatever it was given.
func (c Catalog) Writable(ctx context.Context) error { return c.shelf.catalog.Writable(ctx) }
