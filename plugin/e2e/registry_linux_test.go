package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/e2e/faultproxy"
)

// point is where in a push a registry can fail.
type point struct {
	name, method, path string
	// skip is how many such requests are the plan's, which refuses a snapshot
	// before anything is done.
	skip int
	// upload is set where an engine sends a layer. It then tries again by
	// itself for more than a minute, so that the fault has to pass.
	upload bool
}

var points = []point{
	{name: "ping in the plan", method: http.MethodGet, path: `^/v2/$`},
	{name: "ping", method: http.MethodGet, path: `^/v2/$`, skip: 1},
	{name: "blob HEAD", method: http.MethodHead, path: `/blobs/`},
	{name: "upload start", method: http.MethodPost, path: `/blobs/uploads/$`, upload: true},
	{name: "upload PATCH", method: http.MethodPatch, path: `/blobs/uploads/`, upload: true},
	{name: "upload PUT", method: http.MethodPut, path: `/blobs/uploads/`, upload: true},
	{name: "manifest HEAD", method: http.MethodHead, path: `/manifests/`},
	{name: "manifest PUT", method: http.MethodPut, path: `/manifests/`},
}

// registryFaults are the ways a registry fails.
var registryFaults = []struct {
	name   string
	action faultproxy.Action
}{
	{"401", faultproxy.Unauthorized()},
	{"403", faultproxy.Error(http.StatusForbidden, "DENIED", "requested access to the resource is denied")},
	{"429", faultproxy.TooManyRequests(time.Second)},
	{"500", faultproxy.Error(http.StatusInternalServerError, "UNKNOWN", "unknown error")},
	{"503", faultproxy.Status(http.StatusServiceUnavailable, "<html>no server</html>")},
	{"reset", faultproxy.Reset()},
	{"reset in the body", faultproxy.ResetAfter(1000)},
	{"truncated", faultproxy.Truncate(1)},
	{"slow", faultproxy.Delay(2 * time.Second)},
}

// testRegistry lets a registry fail in each way at each point, once and, where
// the engine gives up soon, for good. One round of all of them is what there is;
// fewer rounds than points take a part.
func (f *faults) testRegistry(t *testing.T) {
	slots := make(chan struct{}, 4) // most of the time is the engine's own waiting
	for p, at := range points {
		for i, fault := range registryFaults {
			if f.rounds < len(points) && (p+i)%len(registryFaults) >= f.rounds {
				continue
			}
			for _, times := range []int{1, 0} {
				if times == 0 && at.upload {
					continue
				}
				name := fmt.Sprintf("%s at %s", fault.name, at.name)
				if times == 0 {
					name += " for good"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					slots <- struct{}{}
					defer func() { <-slots }()
					v := f.newVictim(t, fmt.Sprintf("e2efaults.registry.%d.%d.%d", p, i, times), 5)
					v.pushThrough(t, at, faultproxy.Rule{
						Method: at.method, Path: regexp.MustCompile(at.path), Skip: at.skip, Times: times, Action: fault.action,
					})
				})
			}
		}
	}
}

func (v *victim) pushThrough(t *testing.T, at point, rule faultproxy.Rule) {
	proxy := faultproxy.New(v.registry)
	server := httptest.NewServer(proxy)
	defer server.Close()
	hit := proxy.Inject(rule)
	ref := strings.TrimPrefix(server.URL, "http://") + "/" + v.name + ":v1"
	c := v.commit(t, ref, "--push")
	status, result := c.wait(t)
	met := false
	select {
	case <-hit.Hit():
		met = true
	default:
	}
	wrong := v.afterPush(t, ref, status, result, c.stderr.String())
	wrong = append(wrong, v.inState(t.Context(), session.Running)...)
	wrong = append(wrong, v.reported(t.Context(), result)...)
	wrong = append(wrong, v.catalog()...)
	for _, w := range wrong {
		t.Errorf("status %d: %s\n%s", status, w, c.stderr.String())
	}
	v.tally.count("registry", at.name, met, len(wrong))
	v.forget(t, ref)
	v.docker(t, "rm", "-fv", v.name)
	v.docker(t, "volume", "rm", "-f", v.name)
}

// afterPush lists what is wrong with how a snapshot ended whose registry failed:
// it is done, it was refused before anything was done, or image and workspace
// are there and the error says how to go on.
func (v *victim) afterPush(t *testing.T, ref string, status int, result snapshot.Result, stderr string) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	list, err := workspace.Open(v.catalogDir()).List(t.Context())
	if err != nil {
		say("%v", err)
	}
	list = slices.DeleteFunc(list, func(ws *workspace.Workspace) bool { return ws.Name == ofWorkspace })
	_, err = v.api.ImageInspect(t.Context(), ref)
	switch {
	case status != 0 && status != 1:
		say("ended with status %d", status)
	case result.ImageID == "":
		if status == 0 || err == nil || len(list) > 0 {
			say("nothing was reported, and the image is there (%v) or a workspace: %v", err, list)
		}
		return wrong
	case err != nil:
		say("the image is lost: %v", err)
	case len(list) != 1 || list[0].Image != ref || list[0].Name != result.Workspace:
		say("workspace %s was reported, and there are %+v", result.Workspace, list)
	}
	if status == 0 && result.Digest == "" {
		say("done, and no digest was reported")
	}
	if hint := regexp.MustCompile("`docker (kasm )?push " + regexp.QuoteMeta(ref) + "`"); status == 1 && !hint.MatchString(stderr) {
		say("the error does not say how to go on")
	}
	for _, ws := range list {
		if ws.Snapshot.Digest != result.Digest {
			say("digest %s is registered, %s was reported", ws.Snapshot.Digest, result.Digest)
		}
		if d := ws.Snapshot.Digest; d != "" {
			if err := v.pushed(ref, d); err != nil {
				say("digest %s is registered: %v", d, err)
			}
		}
	}
	return wrong
}

// pushed asks the registry itself whether it has the manifest of a digest.
func (v *victim) pushed(ref, digest string) error {
	_, path, _ := strings.Cut(ref, "/")
	repository, _, _ := strings.Cut(path, ":")
	req, err := http.NewRequest(http.MethodGet, "http://"+v.registry+"/v2/"+repository+"/manifests/"+digest, nil)
	if err != nil {
		return err
	}
	for _, kind := range []string{"application/vnd.docker.distribution.manifest.v2+json", ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex} {
		req.Header.Add("Accept", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the registry answers %s", resp.Status)
	}
	return nil
}
