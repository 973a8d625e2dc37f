package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// Scopes of catalogs. Any is what a command takes that is told none: it looks in
// the user's, and then in the engine's where there is a helper.
const (
	Any        = ""
	ScopeUser  = "user"
	ScopeShare = "engine"
)

// ScopeFlag adds --scope to a command.
func ScopeFlag(cmd *cobra.Command, scope *string, help string) {
	cmd.Flags().StringVar(scope, "scope", Any, `Catalog: "user" or "engine", which the helper keeps for everyone (default is `+help+`)`)
	_ = cmd.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions([]string{ScopeUser, ScopeShare}, cobra.ShellCompDirectiveNoFileComp))
}

// store is one of the catalogs.
type store interface {
	List(ctx context.Context) ([]*workspace.Workspace, error)
	Files(ctx context.Context) ([]workspace.File, error)
	Get(ctx context.Context, name string) (*workspace.Workspace, error)
	Raw(ctx context.Context, name string) ([]byte, string, error)
	CreateRaw(ctx context.Context, name string, data []byte) (*workspace.Workspace, error)
	Update(ctx context.Context, name, revision string, edits []workspace.Edit) (*workspace.Workspace, error)
	Replace(ctx context.Context, name, revision string, data []byte) (*workspace.Workspace, error)
	Remove(ctx context.Context, name, revision string) error
	UniqueName(ctx context.Context, base string) (string, error)
	Writable(ctx context.Context) error
}

// Catalog is what the current user and context see of the catalogs.
type Catalog struct {
	scope     string
	createIn  string
	user      store
	dockerCLI command.Cli
	client    *helperapi.Client
	shared    *helperapi.Catalog
	// recorded are the sessions that the helper told of last.
	recorded []roster.Record
	err      error
}

// Open returns the catalog of a scope; Any is both. The helper is asked only
// once something of it is wanted. The caller closes it.
func Open(dockerCLI command.Cli, scope string) (*Catalog, error) {
	if scope != Any {
		if err := usage.OneOf("scope", scope, ScopeUser, ScopeShare); err != nil {
			return nil, err
		}
	}
	return &Catalog{scope: scope, createIn: scope, user: User(), dockerCLI: dockerCLI}, nil
}

// OpenFor is Open for both scopes, where new workspaces go to one of them.
func OpenFor(dockerCLI command.Cli, createIn string) (*Catalog, error) {
	c, err := Open(dockerCLI, createIn)
	if err != nil {
		return nil, err
	}
	c.scope = Any
	return c, nil
}

// Close ends the connection to the helper.
func (c *Catalog) Close() error {
	if c.client == nil {
		return nil
	}
	return c.client.Close()
}

// Helper returns the client of the engine's helper; dial.ErrNone if it has none.
func (c *Catalog) Helper(ctx context.Context) (*helperapi.Client, error) {
	if c.client == nil && c.err == nil {
		c.client, c.err = connect.Helper(ctx, c.dockerCLI)
	}
	return c.client, c.err
}

// share is the engine's catalog, nil if nothing is wanted of it or there is no
// helper.
func (c *Catalog) share(ctx context.Context) (store, error) {
	client, err := c.sharing(ctx)
	if client == nil {
		return nil, err
	}
	if c.shared == nil {
		c.shared = client.Catalog()
	}
	return c.shared, nil
}

// sharing is the client of the helper, nil if nothing is wanted of it or there is
// none.
func (c *Catalog) sharing(ctx context.Context) (*helperapi.Client, error) {
	if c.scope == ScopeUser {
		return nil, nil
	}
	client, err := c.Helper(ctx)
	// An engine that does not answer takes nothing from what is the user's own.
	if c.scope == Any && (errors.Is(err, dial.ErrNone) || engine.ConnectionLost(err)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return client, nil
}

// Availability tells whether a workspace of the engine's catalog could be launched
// when it was last read; the helper watches that. It is false for any other.
func (c *Catalog) Availability(ws *workspace.Workspace) (helperapi.Availability, bool) {
	if ws.Scope != ScopeShare || c.shared == nil {
		return helperapi.Availability{}, false
	}
	return c.shared.Availability(ws.Name)
}

// List returns the workspaces that can be read, the user's first, and the errors
// of all others joined. One of the user's hides the engine's of the same name.
func (c *Catalog) List(ctx context.Context) ([]*workspace.Workspace, error) {
	var list []*workspace.Workspace
	var errs []error
	if c.scope != ScopeShare {
		own, err := c.user.List(ctx)
		list, errs = marked(own, ScopeUser), append(errs, err)
	}
	share, err := c.share(ctx)
	if share != nil {
		var shared []*workspace.Workspace
		shared, err = share.List(ctx)
		list = append(list, marked(hidden(shared, list), ScopeShare)...)
	}
	return list, errors.Join(append(errs, err)...)
}

// File is a file of one of the catalogs.
type File struct {
	workspace.File
	Scope string
}

// Files returns all files, valid or not, the user's first; unlike List, those of
// either catalog that have the same name too. What is returned with an error is
// all that could be read.
func (c *Catalog) Files(ctx context.Context) ([]File, error) {
	var all []File
	var errs []error
	add := func(s store, scope string) {
		files, err := s.Files(ctx)
		for _, f := range files {
			all = append(all, File{f, scope})
		}
		errs = append(errs, err)
	}
	if c.scope != ScopeShare {
		add(c.user, ScopeUser)
	}
	share, err := c.share(ctx)
	if share != nil {
		add(share, ScopeShare)
	}
	return all, errors.Join(append(errs, err)...)
}

func hidden(list, by []*workspace.Workspace) []*workspace.Workspace {
	return slices.DeleteFunc(list, func(ws *workspace.Workspace) bool {
		return slices.ContainsFunc(by, func(own *workspace.Workspace) bool { return own.Name == ws.Name })
	})
}

func marked(list []*workspace.Workspace, scope string) []*workspace.Workspace {
	for _, ws := range list {
		ws.Scope = scope
	}
	return list
}

// find returns the catalog that a workspace is in, and its scope: the user's
// where it is in both.
func (c *Catalog) find(ctx context.Context, name string) (store, string, error) {
	var missing error
	if c.scope != ScopeShare {
		_, _, err := c.user.Raw(ctx, name)
		if c.scope == ScopeUser || !errors.Is(err, workspace.ErrNotFound) {
			return c.user, ScopeUser, err
		}
		missing = err
	}
	share, err := c.share(ctx)
	if err != nil {
		return nil, "", errors.Join(missing, err)
	}
	if share == nil {
		return nil, "", missing
	}
	_, _, err = share.Raw(ctx, name)
	if err != nil && missing != nil && errors.Is(err, workspace.ErrNotFound) {
		return nil, "", missing // it has the names that look alike
	}
	return share, ScopeShare, err
}

// in does something in the catalog that a workspace is in.
func in[T any](ctx context.Context, c *Catalog, name string, do func(store) (T, error)) (T, string, error) {
	where, scope, err := c.find(ctx, name)
	if err != nil {
		var none T
		return none, "", err
	}
	out, err := do(where)
	return out, scope, err
}

// Get reads one workspace.
func (c *Catalog) Get(ctx context.Context, name string) (*workspace.Workspace, error) {
	ws, scope, err := in(ctx, c, name, func(s store) (*workspace.Workspace, error) { return s.Get(ctx, name) })
	if ws != nil {
		ws.Scope = scope
	}
	return ws, err
}

// GetIn reads a workspace in the catalog of a session's scope.
func (c *Catalog) GetIn(ctx context.Context, scope, name string) (*workspace.Workspace, error) {
	if scope != session.ScopeEngine {
		return c.user.Get(ctx, name)
	}
	client, err := c.Helper(ctx)
	if errors.Is(err, dial.ErrNone) {
		return nil, fmt.Errorf("%w: %q, as %w", workspace.ErrNotFound, name, err)
	}
	if err != nil {
		return nil, err
	}
	return client.Catalog().Get(ctx, name)
}

// Raw reads a workspace's file, valid or not, and its revision.
func (c *Catalog) Raw(ctx context.Context, name string) ([]byte, string, error) {
	where, _, err := c.find(ctx, name)
	if err != nil {
		return nil, "", err
	}
	return where.Raw(ctx, name)
}

// Update changes single keys. revision is that of the file the caller saw, ""
// for any.
func (c *Catalog) Update(ctx context.Context, name, revision string, edits []workspace.Edit) (*workspace.Workspace, error) {
	ws, _, err := in(ctx, c, name, func(s store) (*workspace.Workspace, error) { return s.Update(ctx, name, revision, edits) })
	return ws, explain(err)
}

// Replace writes a whole new text, under the same rules as Update.
func (c *Catalog) Replace(ctx context.Context, name, revision string, data []byte) (*workspace.Workspace, error) {
	ws, _, err := in(ctx, c, name, func(s store) (*workspace.Workspace, error) { return s.Replace(ctx, name, revision, data) })
	return ws, explain(err)
}

// Remove deletes a workspace, under the same rules as Update.
func (c *Catalog) Remove(ctx context.Context, name, revision string) error {
	_, _, err := in(ctx, c, name, func(s store) (any, error) { return nil, s.Remove(ctx, name, revision) })
	return explain(err)
}

// target is the catalog that new workspaces go to.
func (c *Catalog) target(ctx context.Context) (store, error) {
	if c.createIn != ScopeShare {
		return c.user, nil
	}
	client, err := c.Helper(ctx)
	if err != nil {
		return nil, err
	}
	return client.Catalog(), nil
}

// CreateRaw adds a workspace, to the user's catalog unless the scope is another.
func (c *Catalog) CreateRaw(ctx context.Context, name string, data []byte) (*workspace.Workspace, error) {
	target, err := c.target(ctx)
	if err != nil {
		return nil, err
	}
	return target.CreateRaw(ctx, name, data)
}

// UniqueName makes a valid name from base that is free where CreateRaw would add
// it.
func (c *Catalog) UniqueName(ctx context.Context, base string) (string, error) {
	target, err := c.target(ctx)
	if err != nil {
		return "", err
	}
	return target.UniqueName(ctx, base)
}

// Writable fails where CreateRaw would, whatever it was given.
func (c *Catalog) Writable(ctx context.Context) error {
	target, err := c.target(ctx)
	if err != nil {
		return err
	}
	return target.Writable(ctx)
}

// explain adds to a conflict in the engine's catalog who is to be asked about it.
func explain(err error) error {
	var p *helperapi.Problem
	if !errors.As(err, &p) || p.Current == nil || p.Current.Changed == nil {
		return err
	}
	by := "by hand on the engine's host"
	if p.Current.Changed.By != "" {
		by = "by " + p.Current.Changed.By
	}
	return fmt.Errorf("%w (changed %s, %s)", err, by, p.Current.Changed.Time.Local().Format("2006-01-02 15:04:05"))
}
