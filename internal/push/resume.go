package push

import (
	"context"
	"errors"
	"fmt"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Outcome is what a resumed push has come to.
type Outcome struct {
	// Image is the reference in its familiar form.
	Image   string `json:"Image"`
	ImageID string `json:"ImageID"`
	// Digest is that of the manifest in the registry.
	Digest string `json:"Digest,omitempty"`
	// Verified is "content", "digest", or "" where nothing could be compared.
	Verified Verified `json:"Verified"`
	// Attempts is how many times it was tried now.
	Attempts int `json:"Attempts"`
	// Workspaces are the registrations that have the digest now.
	Workspaces []string `json:"Workspaces,omitempty"`
}

// Asker returns a user's credentials for a registry host, zero if none.
type Asker func(host string) (registry.AuthConfig, error)

// Credentials asks for the user's credentials. Helpers know no context and may
// wait for the user: an interrupt leaves one behind and goes on.
func Credentials(ctx context.Context, ask Asker, host string) (registry.AuthConfig, error) {
	type answer struct {
		auth registry.AuthConfig
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		auth, err := ask(host)
		done <- answer{auth, err}
	}()
	select {
	case <-ctx.Done():
		return registry.AuthConfig{}, ctx.Err()
	case got := <-done:
		if got.err != nil {
			return registry.AuthConfig{}, fmt.Errorf("ask the credential helper for registry %s: %w", host, got.err)
		}
		return got.auth, nil
	}
}

// Catalog is where the registrations are whose digest a push sets.
type Catalog interface {
	List(ctx context.Context) ([]*workspace.Workspace, error)
	Get(ctx context.Context, name string) (*workspace.Workspace, error)
	Update(ctx context.Context, name, revision string, edits []workspace.Edit) (*workspace.Workspace, error)
}

// ErrGone means that the image is no longer on the engine.
var ErrGone = errors.New("no such image")

// Resume pushes the image that ref names, whether an earlier push of it failed
// or not, and writes its digest into the registrations of that very image.
func (p *Pusher) Resume(ctx context.Context, ref reference.NamedTagged, ask Asker, catalog Catalog) (Outcome, error) {
	out := Outcome{Image: imageref.Familiar(ref)}
	info, err := engine.Inspect(ctx, p.API)
	if err != nil {
		return out, err
	}
	record, err := p.Records.Get(info.ID, ref)
	if err != nil {
		p.warn("%s", err)
	}
	img, err := p.API.ImageInspect(ctx, ref.String())
	if cerrdefs.IsNotFound(err) {
		return out, p.gone(info.ID, ref, record)
	}
	if err != nil {
		return out, fmt.Errorf("look for image %q: %w", out.Image, err)
	}
	out.ImageID = img.ID
	req := Request{Ref: ref, ImageID: img.ID}
	switch {
	case record == nil:
	case record.ImageID == img.ID:
		p.info("tried %s before, last on %s: %s", times(record.Attempts), record.Time.Local().Format("2006-01-02 15:04"), record.Reason)
		req.Workspace = record.Workspace
	default:
		p.warn("%s is another image than the one whose push failed, %s: the one it names now is pushed", out.Image, record.ImageID)
	}
	host := imageref.Host(ref)
	if req.Auth, err = Credentials(ctx, ask, host); err != nil {
		return out, err
	}
	result, err := p.Push(ctx, req)
	out.Digest, out.Verified, out.Attempts = result.Digest, result.Verified, result.Attempts
	if err != nil {
		denied := engine.ClassifyRegistryError(err) == engine.Denied
		if err = Redacted(err); denied {
			err = fmt.Errorf("registry %s refuses access: log in with `docker login %s` as a user who may push there: %w", host, host, err)
		}
		return out, err
	}
	if out.Workspaces, err = SetDigest(context.WithoutCancel(ctx), catalog, ref, out.ImageID, out.Digest, req.Workspace); err != nil {
		return out, fmt.Errorf("image %q is pushed as %s, but not every registration has the digest: %w", out.Image, out.Digest, err)
	}
	if name := req.Workspace; name != "" && !slices.Contains(out.Workspaces, name) {
		p.warn("workspace %s, which waited for the digest, is gone or launches another image now", name)
	}
	return out, nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// gone says where an image is that this engine does not have. A record of it
// is of no more use and goes.
func (p *Pusher) gone(engineID string, ref reference.NamedTagged, record *Record) error {
	name := imageref.Familiar(ref)
	if record != nil {
		if err := p.Records.Remove(engineID, ref); err != nil {
			p.warn("%s", err)
		}
		return fmt.Errorf("%w: %q was removed since its push failed, so there is nothing to resume", ErrGone, name)
	}
	others, _ := p.Records.List()
	for _, rec := range others {
		if rec.Image == name && rec.EngineID != engineID && rec.Context != "" {
			return fmt.Errorf("%w: %q on this engine; its push waits on another: `docker --context %s kasm push %s`", ErrGone, name, rec.Context, name)
		}
	}
	return fmt.Errorf("%w: %q on this engine: `docker images` lists what there is", ErrGone, name)
}

// SetDigest writes the digest into every registration that launches this very
// image by this reference, and returns their names. Comments in the files stay.
// waits is one that is known to wait for the digest, "" for none: that it cannot be
// read is an error.
func SetDigest(ctx context.Context, catalog Catalog, ref reference.Named, imageID, digest, waits string) ([]string, error) {
	// Files that cannot be read are no registrations of anything.
	list, _ := catalog.List(ctx)
	var names []string
	var errs []error
	if waits != "" && !slices.ContainsFunc(list, func(ws *workspace.Workspace) bool { return ws.Name == waits }) {
		ws, err := catalog.Get(ctx, waits)
		switch {
		case err == nil:
			list = append(list, ws)
		case !errors.Is(err, workspace.ErrNotFound):
			errs = append(errs, err)
		}
	}
	for _, ws := range list {
		if !launches(ws, ref, imageID) {
			continue
		}
		err := update(ctx, catalog, ws, ref, imageID, digest)
		if errors.Is(err, workspace.ErrNotFound) {
			continue // removed since the list
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		names = append(names, ws.Name)
	}
	return names, errors.Join(errs...)
}

// update changes the file as it was read: where somebody else has changed it
// meanwhile, it is looked at again.
func update(ctx context.Context, catalog Catalog, ws *workspace.Workspace, ref reference.Named, imageID, digest string) error {
	return workspace.Again(func() error {
		if !launches(ws, ref, imageID) {
			return fmt.Errorf("workspace %q launches another image now", ws.Name)
		}
		_, err := catalog.Update(ctx, ws.Name, ws.Revision, []workspace.Edit{{Key: "snapshot.digest", Value: digest}})
		if !errors.Is(err, workspace.ErrConflict) {
			return err
		}
		now, gone := catalog.Get(ctx, ws.Name)
		if gone != nil {
			return gone
		}
		ws = now
		return err
	})
}

func launches(ws *workspace.Workspace, ref reference.Named, imageID string) bool {
	if ws.Type != workspace.TypeContainer || ws.Snapshot == nil || ws.Snapshot.ImageID != imageID {
		return false
	}
	named, err := imageref.ParseTagged(ws.Image)
	return err == nil && named.String() == ref.String()
}
