package availability

import (
	"context"
	"fmt"
	"time"

	"github.com/distribution/reference"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// answer is what a registry made of a name. A registry that did not answer gives none.
type answer struct {
	// access is Present, Absent or Denied; "" before the first answer.
	access engine.Access
	// digest is that of the manifest or index, if Present.
	digest string
	// reason says why the registry could not be asked as it should; access is Denied then.
	reason string
	// image is the id that the name had on the engine when the registry was asked.
	image string
	at    time.Time
}

// ask asks the registry for an image. auth may be nil. The error means that
// there was no answer.
func ask(ctx context.Context, api API, auth func(string) (string, error), name string, ref reference.Named) (answer, error) {
	encoded := ""
	if auth != nil {
		var err error
		if encoded, err = auth(name); err != nil {
			return answer{access: engine.Denied, reason: fmt.Sprintf("no credentials for %s: %s", imageref.Host(ref), err)}, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := api.DistributionInspect(ctx, reference.TagNameOnly(ref).String(), encoded)
	if err == nil {
		return answer{access: engine.Present, digest: found.Descriptor.Digest.String()}, nil
	}
	if _, busy := engine.TooManyRequests(err); busy {
		// Docker Hub says so in the words of a refused access, too.
		return answer{}, err
	}
	access := engine.ClassifyRegistryError(err)
	if access == engine.Unreachable {
		return answer{}, err
	}
	return answer{access: access}, nil
}

// status is the status of a workspace whose image the engine does not have;
// local says what the engine has.
func (a answer) status(ws *workspace.Workspace, host string, local Status) Status {
	switch {
	case a.reason != "":
		return Status{State: Unknown, Reason: a.reason}
	case a.access == engine.Absent:
		return Status{State: Missing, Reason: fmt.Sprintf("%s, nor in registry %s", local.Reason, host)}
	case a.access == engine.Denied:
		return Status{State: Unknown, Reason: fmt.Sprintf("missing, or no access to registry %s: docker login %s", host, host)}
	}
	if s := ws.Snapshot; s != nil && s.Digest != "" && s.Digest != a.digest {
		return Status{State: Missing, Reason: fmt.Sprintf("the name belongs to another image in registry %s", host)}
	}
	return Status{State: Pullable, Reason: local.Reason}
}

func remoteStatus(ctx context.Context, api API, auth func(string) (string, error), ws *workspace.Workspace, local Status) Status {
	ref, err := imageref.Parse(ws.Image)
	if err != nil {
		return Status{State: Unknown, Reason: err.Error()}
	}
	host := imageref.Host(ref)
	found, err := ask(ctx, api, auth, ws.Image, ref)
	if err != nil {
		return Status{State: Unknown, Reason: unreachable(host)}
	}
	return found.status(ws, host, local)
}

func unreachable(host string) string { return fmt.Sprintf("registry %s cannot be reached", host) }
