// Package push sends images to their registries through the engine: with
// retries for what passes by itself, a comparison of what the registry then
// has with what was meant, and a record of what failed so that it can be
// resumed.
package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cenkalti/backoff/v4"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/opencontainers/go-digest"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
)

// API is what a push asks of the engine.
type API interface {
	engine.InfoClient
	DistributionInspect(ctx context.Context, image, encodedRegistryAuth string) (registry.DistributionInspect, error)
	ImageInspect(ctx context.Context, image string, opts ...client.ImageInspectOption) (image.InspectResponse, error)
	ImagePush(ctx context.Context, ref string, options image.PushOptions) (io.ReadCloser, error)
}

// DefaultRetries is how many times a push is tried again.
const DefaultRetries = 3

// Pusher pushes images of one engine.
type Pusher struct {
	API API
	// Local tells that the engine is on this machine, so that the address of a
	// registry means the same to it and to this process.
	Local bool
	// Context is the name of the docker context, for records.
	Context string
	// Records is where pushes that fail are kept.
	Records Records
	// Retries is how many times what is temporary is tried again, 0 for never.
	Retries uint
	// Timer waits between tries; nil is the clock.
	Timer backoff.Timer
	Now   func() time.Time
	// Report receives the events of a push, one at a time; nil for none.
	Report func(Event)
}

// Event reports the progress of a push: exactly one of its fields is set.
type Event struct {
	// Layer is the engine's own message about a layer.
	Layer *jsonmessage.JSONMessage
	// Info is a line that says what goes on, Warning one to take note of.
	Info, Warning string
}

// Request says what is to be pushed.
type Request struct {
	Ref reference.NamedTagged
	// Auth are the credentials for the registry of Ref, zero if there are none.
	Auth registry.AuthConfig
	// ImageID is the image that Ref has to name.
	ImageID string
	// Config is the digest of the configuration that the registry is to get,
	// "" where only the engine knows it.
	Config digest.Digest
	// Workspace is the registration that gets the digest, "" if there is none
	// yet; it is only noted in the record.
	Workspace string
}

// Result is what a push has come to.
type Result struct {
	// Digest is that of the manifest in the registry.
	Digest string
	// Verified says what of the registry's content was compared.
	Verified Verified
	// Attempts is how many times it was tried, 1 or more.
	Attempts int
}

// Push pushes an image and compares what the registry then has. While it is
// under way, and after a failure, the records have it: also when this process
// is killed. An interrupt is context.Canceled.
func (p *Pusher) Push(ctx context.Context, req Request) (Result, error) {
	info, err := engine.Inspect(ctx, p.API)
	if err != nil {
		return Result{}, err
	}
	record := p.begin(info.ID, req)
	result, err := p.push(ctx, info, req)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		p.fail(record, result.Attempts, err)
		return result, err
	}
	if err := p.Records.Remove(info.ID, req.Ref); err != nil {
		p.warn("the push is done, but its record stays: %s", err)
	}
	return result, nil
}

func (p *Pusher) push(ctx context.Context, info engine.Info, req Request) (Result, error) {
	var result Result
	encoded, err := registry.EncodeAuthConfig(req.Auth)
	if err != nil {
		return result, fmt.Errorf("encode the credentials for %s: %w", imageref.Host(req.Ref), err)
	}
	err = p.retry(ctx, func() error {
		result.Attempts++
		pushed, err := p.once(ctx, req.Ref, encoded)
		result.Digest = pushed
		return err
	})
	if err != nil {
		return result, err
	}
	c := comparison{Pusher: p, info: info, req: req, encoded: encoded, pushed: digest.Digest(result.Digest)}
	if result.Verified, err = c.run(ctx); err != nil {
		result.Digest = ""
	}
	return result, err
}

// once asks the engine for the push and returns the manifest's digest.
func (p *Pusher) once(ctx context.Context, ref reference.NamedTagged, encodedAuth string) (string, error) {
	body, err := p.API.ImagePush(ctx, ref.String(), image.PushOptions{RegistryAuth: encodedAuth})
	if err != nil {
		if ctx.Err() != nil || client.IsErrConnectionFailed(err) || cerrdefs.IsInvalidArgument(err) || cerrdefs.IsNotFound(err) {
			return "", backoff.Permanent(err)
		}
		return "", err
	}
	defer body.Close()
	var pushed string
	err = engine.ReadStream(body, func(msg jsonmessage.JSONMessage) {
		if d := engine.PushedDigest(msg); d != "" {
			pushed = d
		}
		if msg.Aux == nil {
			p.report(Event{Layer: &msg})
		}
	})
	var fromEngine *engine.StreamError
	switch {
	case errors.As(err, &fromEngine):
		return "", err
	case err != nil: // the engine itself has gone
		return "", backoff.Permanent(err)
	case pushed == "":
		return "", backoff.Permanent(errors.New("the engine reported no digest for the pushed tag"))
	}
	return pushed, nil
}

func (p *Pusher) report(e Event) {
	if p.Report != nil {
		p.Report(e)
	}
}

func (p *Pusher) info(format string, args ...any) {
	p.report(Event{Info: fmt.Sprintf(format, args...)})
}

func (p *Pusher) warn(format string, args ...any) {
	p.report(Event{Warning: fmt.Sprintf(format, args...)})
}
