package availability

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
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
	if tooMany(err) {
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

// Engines pass on a registry's refusal to answer so often in words only.
var (
	busyWords = regexp.MustCompile(`(?i)toomanyrequests|too many requests|rate ?limit|rate exceeded`)
	waitWords = regexp.MustCompile(`(?i)retry[- ]after:?\s*((?:\d+(?:\.\d+)?(?:h|ms|m|s|µs|us|ns))+|\d+(?:\.\d+)?)`)
	// address is taken out before words are looked for: names of repositories
	// are words, too.
	address = regexp.MustCompile(`https?://[^\s"]*[^\s":]`)
)

func tooMany(err error) bool {
	return !cerrdefs.IsNotFound(err) && busyWords.MatchString(address.ReplaceAllString(err.Error(), "…"))
}

// askedWait is how long a registry asks to wait, 0 if it does not say.
func askedWait(err error) time.Duration {
	m := waitWords.FindStringSubmatch(address.ReplaceAllString(err.Error(), "…"))
	if m == nil {
		return 0
	}
	if seconds, err := strconv.ParseFloat(m[1], 64); err == nil {
		return time.Duration(min(seconds, longestAsked.Seconds()) * float64(time.Second))
	}
	wait, err := time.ParseDuration(m[1])
	if err != nil {
		return longestAsked // it is too long for a duration
	}
	return min(wait, longestAsked)
}

// longestAsked is the longest wait that a registry can ask for.
const longestAsked = 24 * time.Hour
