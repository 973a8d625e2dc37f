package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
)

// Verified says what of a registry's content was compared with the image.
type Verified string

const (
	// VerifiedContent means: manifest and configuration were fetched from the
	// registry and are those of the image.
	VerifiedContent Verified = "content"
	// VerifiedDigest means: the engine was asked, and the registry has the
	// manifest's digest under the tag.
	VerifiedDigest Verified = "digest"
	// NotVerified means: nothing could be compared.
	NotVerified Verified = ""
)

// DifferenceError says how what a registry has differs from what was pushed.
type DifferenceError struct{ What string }

func (e *DifferenceError) Error() string {
	return "the registry does not have what was pushed: " + e.What
}

func differs(format string, args ...any) error {
	return &DifferenceError{fmt.Sprintf(format, args...)}
}

// compareTimeout bounds a comparison: manifest and configuration are small.
const compareTimeout = time.Minute

// comparison holds a registry's content against a push that the engine says is
// done.
type comparison struct {
	*Pusher
	info    engine.Info
	req     Request
	encoded string
	pushed  digest.Digest
}

// run fetches the content itself where this process reaches the registry, and
// else asks for its digest through the engine. Where the manifest can be had
// neither way a warning says so: the engine did report the push as done.
func (c *comparison) run(ctx context.Context) (Verified, error) {
	if err := c.compareID(ctx); err != nil {
		return NotVerified, err
	}
	within, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	err := c.compareContent(within)
	if err == nil {
		return VerifiedContent, nil
	}
	var notFound *notFoundError
	if !errors.As(err, &notFound) {
		return NotVerified, err
	}
	has, engineErr := c.API.DistributionInspect(within, c.req.Ref.String(), c.encoded)
	var different *DifferenceError
	switch {
	case ctx.Err() != nil:
		return NotVerified, ctx.Err()
	case engineErr == nil && has.Descriptor.Digest == c.pushed:
		c.Pusher.info("compared the digest only, through the engine: %s", Reason(err))
		return VerifiedDigest, nil
	case engineErr == nil:
		return NotVerified, differs("%s is %s there instead of %s", imageref.Familiar(c.req.Ref), has.Descriptor.Digest, c.pushed)
	case errors.As(err, &different):
		return NotVerified, different
	}
	c.warn("what the registry has could not be compared with the image: %s", Reason(err))
	return NotVerified, nil
}

// notFoundError means that the manifest was not found from here: the registry
// could not be asked, or another one answers here to the same address.
type notFoundError struct{ error }

func (e *notFoundError) Unwrap() error { return e.error }

// compareID holds the pushed digest against the image's id, which is a digest
// of the same kind on the containerd store only.
func (c *comparison) compareID(ctx context.Context) error {
	if c.info.Store != engine.Containerd || c.req.ImageID == c.pushed.String() {
		return nil
	}
	// The id of an index: where parts of it are not there, the engine pushes
	// the manifest that is.
	img, err := c.API.ImageInspect(ctx, c.req.ImageID, client.ImageInspectWithManifests(true))
	if err != nil {
		return fmt.Errorf("look up the manifests of image %s: %w", c.req.ImageID, err)
	}
	for _, m := range img.Manifests {
		if m.ID == c.pushed.String() || m.Descriptor.Digest == c.pushed {
			return nil
		}
	}
	return differs("the engine pushed %s, which is not part of image %s", c.pushed, c.req.ImageID)
}

// compareContent reads manifest and configuration as whoever pulls them will.
func (c *comparison) compareContent(ctx context.Context) error {
	host := imageref.Host(c.req.Ref)
	insecure := insecure(ctx, c.info.Registries, host)
	if insecure && !c.Local {
		// Credentials would go unprotected over another network than the
		// engine's, to a host that may be another one there.
		return &notFoundError{fmt.Errorf("registry %s is insecure and only the engine, which is on another machine, is set to trust it", host)}
	}
	repo, err := openRepository(ctx, c.req.Ref, c.req.Auth, insecure)
	if err != nil {
		return err
	}
	desc, manifest, err := fetch(ctx, repo.Manifests(), c.req.Ref.Tag())
	if errors.Is(err, errdef.ErrNotFound) {
		return &notFoundError{differs("there is no %s", imageref.Familiar(c.req.Ref))}
	}
	if err != nil {
		return &notFoundError{fmt.Errorf("fetch the manifest of %s: %w", imageref.Familiar(c.req.Ref), err)}
	}
	switch got := digest.FromBytes(manifest); {
	case got != desc.Digest:
		return differs("the manifest of %s is damaged: it says %s and has %s", imageref.Familiar(c.req.Ref), desc.Digest, got)
	case got != c.pushed:
		return &notFoundError{differs("%s is %s there instead of %s", imageref.Familiar(c.req.Ref), got, c.pushed)}
	}
	if isIndex(desc.MediaType) {
		return c.compareIndex(ctx, repo, manifest)
	}
	return c.compareConfig(ctx, repo, manifest)
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || strings.HasSuffix(mediaType, ".manifest.list.v2+json")
}

// compareIndex reads the manifests of an index, but for those that describe
// others.
func (c *comparison) compareIndex(ctx context.Context, repo *remote.Repository, data []byte) error {
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return differs("its index cannot be read: %s", err)
	}
	images := slices.DeleteFunc(index.Manifests, func(m ocispec.Descriptor) bool {
		return m.Annotations["vnd.docker.reference.type"] != ""
	})
	for _, m := range images {
		manifest, err := c.read(ctx, repo.Manifests(), "manifest", m.Digest)
		if err != nil {
			return err
		}
		if err := c.compareConfig(ctx, repo, manifest); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) compareConfig(ctx context.Context, repo *remote.Repository, data []byte) error {
	var manifest ocispec.Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		return differs("its manifest cannot be read: %s", err)
	}
	got, want := manifest.Config.Digest, c.req.Config
	if c.info.Store == engine.Graphdriver {
		want = digest.Digest(c.req.ImageID)
	}
	if want != "" && got != want {
		return differs("the configuration is %s instead of %s", got, want)
	}
	_, err := c.read(ctx, repo.Blobs(), "configuration", got)
	return err
}

// read fetches what a digest names, and makes sure that it is it.
func (c *comparison) read(ctx context.Context, from orasregistry.ReferenceFetcher, what string, want digest.Digest) ([]byte, error) {
	if err := want.Validate(); err != nil {
		return nil, differs("the digest of the %s is %q", what, want)
	}
	_, data, err := fetch(ctx, from, want.String())
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, differs("the %s %s is missing", what, want)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the %s %s: %w", what, want, err)
	}
	if got := want.Algorithm().FromBytes(data); got != want {
		return nil, differs("the %s %s is damaged: its content has %s", what, want, got)
	}
	return data, nil
}
