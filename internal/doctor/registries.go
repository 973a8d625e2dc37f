package doctor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// RegistryAPI is what is asked of the engine about registries.
type RegistryAPI interface {
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	DistributionInspect(ctx context.Context, image, encodedRegistryAuth string) (registry.DistributionInspect, error)
}

const (
	// mostRegistries is how many are asked, each for one image: it may count as a
	// pull.
	mostRegistries = 16
	// registriesAtOnce is how many are asked at a time.
	registriesAtOnce = 4
)

// sample is the image that a registry is asked for.
type sample struct {
	image string
	// here tells whether the engine has it: then nothing waits for the registry.
	here bool
}

// Registries tells whether the engine reaches the registries of the images that
// workspaces name, and whether they take the user's credentials. workspaces lists
// those of all catalogs; auth returns the encoded credentials for an image, and
// whether there are any.
func (e *Engine) Registries(api RegistryAPI, workspaces func(context.Context) []*workspace.Workspace, auth func(ref string) (encoded string, any bool, err error)) Check {
	return e.needed("registry", func(ctx context.Context) []Finding {
		images, err := api.ImageList(ctx, image.ListOptions{})
		if err != nil {
			return warning("", "not checked: %s", err)
		}
		samples := samplesOf(workspaces(ctx), images)
		if len(samples) == 0 {
			return ok("no workspace names an image of a registry")
		}
		hosts := slices.Sorted(maps.Keys(samples))
		rest := max(len(hosts)-mostRegistries, 0)
		hosts = hosts[:len(hosts)-rest]
		// Some time is left to tell of those that do not answer.
		deadline, _ := ctx.Deadline()
		ctx, cancel := context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/10))
		defer cancel()
		found := make([][]Finding, len(hosts))
		slots := make(chan struct{}, registriesAtOnce)
		var all sync.WaitGroup
		for i, host := range hosts {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				found[i] = askRegistry(ctx, api, host, samples[host], auth)
			})
		}
		all.Wait()
		list := slices.Concat(found...)
		if rest > 0 {
			list = append(list, warning("", "%d more registries were not asked", rest)...)
		}
		return list
	})
}

// samplesOf picks an image for each registry: one that the engine does not have if
// there is one, and none that was made by a snapshot unless there is no other, as
// those may never have been pushed.
func samplesOf(list []*workspace.Workspace, images []image.Summary) map[string]sample {
	here := map[string]bool{}
	for _, img := range images {
		for _, names := range [][]string{img.RepoTags, img.RepoDigests} {
			for _, name := range names {
				if ref, err := reference.ParseNormalizedNamed(name); err == nil {
					here[ref.String()] = true
				}
			}
		}
	}
	samples, made := map[string]sample{}, map[string]sample{}
	for _, ws := range list {
		if ws.Type != workspace.TypeContainer || !ws.Enabled {
			continue
		}
		ref, err := imageref.Parse(ws.Image)
		if err != nil {
			continue
		}
		s := sample{ws.Image, here[reference.TagNameOnly(ref).String()]}
		into := samples
		if ws.Snapshot != nil {
			into = made
		}
		if old, known := into[imageref.Host(ref)]; !known || old.here && !s.here {
			into[imageref.Host(ref)] = s
		}
	}
	for host, s := range made {
		if _, known := samples[host]; !known {
			samples[host] = s
		}
	}
	return samples
}

func askRegistry(ctx context.Context, api RegistryAPI, host string, s sample, auth func(string) (string, bool, error)) []Finding {
	encoded, any, err := auth(s.image)
	if err != nil {
		return failed("see what the credential helper says", "%s: your credentials cannot be read: %s", host, err)
	}
	_, err = api.DistributionInspect(ctx, s.image, encoded)
	if wait, busy := engine.TooManyRequests(err); busy {
		advice := "wait a while"
		if wait > 0 {
			advice = "wait for " + wait.String()
		}
		return warning(advice, "%s answers, but takes no more requests for now", host)
	}
	switch engine.ClassifyRegistryError(err) {
	case engine.Present:
		return ok("%s answers, and has %s", host, s.image)
	case engine.Absent:
		return ok("%s answers; it does not have %s", host, s.image)
	case engine.Denied:
		if any {
			return warning("log in anew: docker login "+host, "%s answers, but refuses your credentials for %s, or does not have it", host, s.image)
		}
		return warning("log in: docker login "+host, "%s answers, but shows %s to nobody without a login, or does not have it", host, s.image)
	case engine.Unreachable:
	}
	text := "%s cannot be reached from the engine: %s"
	if timedOut(err) {
		text = "%s does not answer in time: %s"
	}
	const advice = "see that the engine's host reaches it: its name, its certificate, and the engine's proxy and insecure-registries"
	if s.here {
		// What is launched now does not need it.
		return warning(advice, text, host, err)
	}
	return failed(advice, text, host, err)
}
