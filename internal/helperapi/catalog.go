package helperapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Catalog is the engine's catalog, kept by its helper. Its methods do what those
// of workspace.Catalog do.
type Catalog struct {
	client *Client
	// known is the availability of the workspaces that were last read, by name.
	known map[string]Availability
}

// Catalog returns the catalog that the helper keeps.
func (c *Client) Catalog() *Catalog {
	return &Catalog{client: c, known: map[string]Availability{}}
}

// Availability tells whether a workspace could be launched when it was last read
// with List or Get.
func (c *Catalog) Availability(name string) (Availability, bool) {
	a, ok := c.known[name]
	return a, ok
}

func (c *Catalog) note(w Workspace) {
	if w.Availability != nil {
		c.known[w.Name] = *w.Availability
	}
}

func workspacePath(name string) string {
	return "/" + Version + "/workspaces/" + url.PathEscape(name)
}

// Workspaces asks for the whole catalog as the helper has it.
func (c *Client) Workspaces(ctx context.Context) (WorkspaceList, error) {
	return get[WorkspaceList](ctx, c, "/"+Version+"/workspaces")
}

// List returns the workspaces whose files can be read, sorted by name, and the
// errors of all others joined.
func (c *Catalog) List(ctx context.Context) ([]*workspace.Workspace, error) {
	all, err := c.client.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	var list []*workspace.Workspace
	var errs []error
	for _, w := range all.Workspaces {
		c.note(w)
		// A newer helper may take keys that this plugin does not know.
		ws, err := w.decode()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, ws)
	}
	for _, bad := range all.BadFiles {
		errs = append(errs, errors.New(bad.Error))
	}
	return list, errors.Join(errs...)
}

func (w *Workspace) decode() (*workspace.Workspace, error) {
	ws, err := workspace.Decode(w.Name, w.Name+".toml", []byte(w.Text))
	if err != nil {
		return nil, fmt.Errorf("read workspace %q of the engine's catalog: %w", w.Name, err)
	}
	ws.Path = ""
	return ws, nil
}

// Files returns all files sorted by name. Those that a workspace cannot be read
// from are asked for one by one: the list has their errors only.
func (c *Catalog) Files(ctx context.Context) ([]workspace.File, error) {
	all, err := c.client.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	var files []workspace.File
	for _, w := range all.Workspaces {
		files = append(files, workspace.ReadFile(w.Name, w.Name+".toml", []byte(w.Text)))
	}
	for _, bad := range all.BadFiles {
		f := workspace.File{Name: bad.Name, Path: bad.Name + ".toml"}
		data, _, err := c.Raw(ctx, bad.Name)
		switch {
		case errors.Is(err, workspace.ErrNotFound):
			continue // removed since the list was made
		case err == nil:
			f = workspace.ReadFile(f.Name, f.Path, data)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if f.Err == nil {
			// An older helper may not take keys that this plugin knows.
			f.Workspace, f.Err = nil, errors.New(bad.Error)
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b workspace.File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// Get reads one workspace; ErrNotFound if there is none of that name.
func (c *Catalog) Get(ctx context.Context, name string) (*workspace.Workspace, error) {
	data, revision, err := c.Raw(ctx, name)
	if err != nil {
		return nil, err
	}
	w := Workspace{Name: name, Revision: revision, Text: string(data)}
	return w.decode()
}

// Raw reads a workspace's file, valid or not, and its revision.
func (c *Catalog) Raw(ctx context.Context, name string) ([]byte, string, error) {
	if err := workspace.ValidName(name); err != nil {
		return nil, "", err
	}
	w, err := get[Workspace](ctx, c.client, workspacePath(name))
	if err != nil {
		return nil, "", err
	}
	c.note(w)
	return []byte(w.Text), w.Revision, nil
}

// CreateRaw adds a workspace; ErrExists if there is one of that name.
func (c *Catalog) CreateRaw(ctx context.Context, name string, data []byte) (*workspace.Workspace, error) {
	ws, err := workspace.Decode(name, name+".toml", data)
	if err != nil {
		return nil, fmt.Errorf("create workspace %q: %w", name, err)
	}
	if err := c.put(ctx, name, data, http.Header{"If-None-Match": {"*"}}); err != nil {
		return nil, err
	}
	ws.Path = ""
	return ws, nil
}

func (c *Catalog) put(ctx context.Context, name string, data []byte, header http.Header) error {
	return c.client.call(ctx, request{method: http.MethodPut, path: workspacePath(name), body: data, contentType: TypeTOML, header: header})
}

// Update changes single keys. revision is that of the file the caller saw, ""
// for any; ErrConflict if it has changed since.
func (c *Catalog) Update(ctx context.Context, name, revision string, edits []workspace.Edit) (*workspace.Workspace, error) {
	if revision != "" {
		return c.update(ctx, name, revision, edits)
	}
	var ws *workspace.Workspace
	err := workspace.Again(func() (err error) {
		ws, err = c.update(ctx, name, "", edits)
		return err
	})
	return ws, err
}

func (c *Catalog) update(ctx context.Context, name, revision string, edits []workspace.Edit) (*workspace.Workspace, error) {
	data, current, err := c.Raw(ctx, name)
	if err != nil {
		return nil, err
	}
	next, err := workspace.Apply(data, edits)
	if err != nil {
		return nil, fmt.Errorf("update workspace %q: %w", name, err)
	}
	// Of a file that was changed since the caller saw it, the helper tells by whom.
	return c.Replace(ctx, name, cmp.Or(revision, current), next)
}

// Replace writes a whole new text, under the same rules as Update.
func (c *Catalog) Replace(ctx context.Context, name, revision string, data []byte) (*workspace.Workspace, error) {
	ws, err := workspace.Decode(name, name+".toml", data)
	if err != nil {
		return nil, fmt.Errorf("update workspace %q: %w", name, err)
	}
	if err := c.put(ctx, name, data, match(revision)); err != nil {
		return nil, err
	}
	ws.Path = ""
	return ws, nil
}

// match asks for a revision; "" means any, of a file that is there.
func match(revision string) http.Header {
	if revision == "" {
		return http.Header{"If-Match": {"*"}}
	}
	return http.Header{"If-Match": {`"` + revision + `"`}}
}

// Remove deletes a workspace, under the same rules as Update.
func (c *Catalog) Remove(ctx context.Context, name, revision string) error {
	if err := workspace.ValidName(name); err != nil {
		return err
	}
	return c.client.call(ctx, request{method: http.MethodDelete, path: workspacePath(name), header: match(revision)})
}

// UniqueName makes a free valid name from base.
func (c *Catalog) UniqueName(ctx context.Context, base string) (string, error) {
	all, err := c.client.Workspaces(ctx)
	if err != nil {
		return "", err
	}
	var taken []string
	for _, w := range all.Workspaces {
		taken = append(taken, w.Name)
	}
	for _, bad := range all.BadFiles {
		taken = append(taken, bad.Name)
	}
	return workspace.UniqueName(base, taken), nil
}

// Writable fails where CreateRaw would, whatever it was given.
func (c *Catalog) Writable(ctx context.Context) error { return c.client.Ready(ctx) }
