package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/runspec"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// register adds the workspace that launches the new image. An interrupt that
// came after the image was named does not keep it from being registered.
func (j *job) register(ctx context.Context) error {
	through := context.WithoutCancel(ctx)
	ws := j.registration()
	ws.Snapshot.Digest = j.result.Digest
	var err error
	if ws.Name, err = j.Catalog.UniqueName(through, imageref.WorkspaceName(j.plan.ref)); err != nil {
		return j.notRegistered(err)
	}
	data, err := workspace.Encode(ws)
	if err != nil {
		return j.notRegistered(err)
	}
	if j.Edit != nil && ctx.Err() == nil {
		edited, err := j.Edit(ctx, ws.Name, data)
		if err != nil {
			j.warn("registered as generated, your changes were not taken: %s; change it with `docker kasm workspace edit %s`", err, ws.Name)
		} else {
			data = edited
		}
	}
	for {
		_, err := j.Catalog.CreateRaw(through, ws.Name, data)
		if err == nil {
			j.result.Workspace = ws.Name
			j.keepWorkspace()
			return nil
		}
		// Another snapshot may have taken the name since it was found free.
		if !errors.Is(err, workspace.ErrExists) {
			return j.notRegistered(err)
		}
		if ws.Name, err = j.Catalog.UniqueName(through, imageref.WorkspaceName(j.plan.ref)); err != nil {
			return j.notRegistered(err)
		}
	}
}

func (j *job) notRegistered(err error) error {
	err = fmt.Errorf("the image %s is there, but its workspace is not registered: %w; register it with `docker kasm workspace create%s --image %s NAME`",
		j.result.Image, err, j.RegisterFlags, j.result.Image)
	if j.pushErr != nil {
		err = errors.Join(&PushError{Image: j.result.Image, Err: j.pushErr}, err)
	}
	return err
}

// pending is the file of the workspace that is still to be registered after a
// result, nil for none.
func (j *job) pending(r Result) ([]byte, error) {
	if r.ImageID == "" || r.Workspace != "" || j.skip(StepRegister) {
		return nil, nil
	}
	return workspace.Encode(j.registration())
}

// registration inherits how the session's workspace is run; what it is called
// and made of is new.
func (j *job) registration() *workspace.Workspace {
	if j.workspace != nil {
		return j.workspace
	}
	ws := &workspace.Workspace{Type: workspace.TypeContainer}
	base := imageref.Familiar(j.plan.ref)
	if parent := j.plan.workspace; parent != nil {
		inherited := *parent
		ws = &inherited
		base = plainName(parent)
	} else if image := j.plan.container.Config.Image; image != "" {
		base = image
	}
	ws.Path, ws.Revision, ws.URL = "", "", ""
	ws.FriendlyName = j.req.FriendlyName
	if ws.FriendlyName == "" {
		ws.FriendlyName = fmt.Sprintf("Snapshot of %s - (%s)", base, j.plan.ref.Tag())
	}
	ws.Run.Volumes = j.otherVolumes(ws.Run.Volumes)
	ws.Image = j.result.Image
	ws.Run = session.WithTmp(ws.Run, j.plan.container.Config.Labels)
	ws.Enabled = true
	// The image may be on this engine only: another policy would try to pull it.
	ws.Pull = workspace.PullMissing
	ws.Snapshot = &workspace.Snapshot{
		Of: j.plan.session.Workspace, ImageID: j.image, Parent: j.plan.container.Config.Image,
		Created: j.Now().Truncate(1e9),
	}
	if workspace.ValidName(ws.Snapshot.Of) != nil {
		ws.Snapshot.Of = ""
	}
	j.workspace = ws
	return ws
}

// otherVolumes leaves out the volumes whose content is in the image now: they
// would hide it.
func (j *job) otherVolumes(volumes []string) []string {
	var out []string
	for _, v := range volumes {
		if at, err := runspec.ParseVolume(v); err == nil && slices.Contains(j.result.Included, path.Clean(at.Target)) {
			j.info("the new workspace does without the volume %s", v)
			continue
		}
		out = append(out, v)
	}
	return out
}

var snapshotName = regexp.MustCompile(`^Snapshot of (.+) - \([^()]+\)$`)

// plainName is the friendly name without the wording of an earlier snapshot,
// so that a snapshot of a snapshot is still a snapshot of the first.
func plainName(ws *workspace.Workspace) string {
	name := ws.DisplayName()
	if ws.Snapshot != nil {
		if m := snapshotName.FindStringSubmatch(name); m != nil {
			return m[1]
		}
	}
	return name
}
