package push

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// content is what a registry of the tests' own has, by path.
type content map[string][]byte

func (c content) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "me" || password != "hunter2" {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	data, ok := c[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	mediaType := ocispec.MediaTypeImageManifest
	if strings.Contains(string(data), `"manifests"`) {
		mediaType = ocispec.MediaTypeImageIndex
	}
	w.Header().Set("Content-Type", mediaType)
	if strings.Contains(r.URL.Path, "/manifests/") {
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(data).String())
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	_, _ = w.Write(data)
}

func TestRegistryIsComparedWithTheImage(t *testing.T) {
	config := []byte(`{"config":{}}`)
	configID := digest.FromBytes(config)
	manifest := []byte(`{"schemaVersion":2,"config":{"digest":"` + configID.String() + `"}}`)
	manifestID := digest.FromBytes(manifest)
	index := []byte(`{"manifests":[{"digest":"` + manifestID.String() + `"},{"digest":"` + someID + `","annotations":{"vnd.docker.reference.type":"attestation-manifest"}}]}`)
	indexID := digest.FromBytes(index)
	const tag, byDigest, blobs = "/v2/x/manifests/v1", "/v2/x/manifests/", "/v2/x/blobs/"
	whole := content{tag: manifest, blobs + configID.String(): config}
	asIndex := content{tag: index, byDigest + manifestID.String(): manifest, blobs + configID.String(): config}
	onTLS := &fakeEngine{pushed: manifestID, imageID: configID.String()}
	for name, c := range map[string]struct {
		engine   *fakeEngine
		registry content
		config   digest.Digest
		remote   bool
		verified Verified
		want     string
	}{
		"graphdriver: the id is the configuration's":    {engine: onTLS, registry: whole, verified: VerifiedContent},
		"graphdriver: another configuration":            {engine: &fakeEngine{pushed: manifestID, imageID: someID}, registry: whole, want: "the configuration is " + configID.String() + " instead of " + someID},
		"containerd: the id is the manifest's":          {engine: &fakeEngine{containerd: true, pushed: manifestID, imageID: manifestID.String()}, registry: whole, verified: VerifiedContent},
		"containerd: the planned configuration":         {engine: &fakeEngine{containerd: true, pushed: manifestID, imageID: manifestID.String()}, registry: whole, config: configID, verified: VerifiedContent},
		"containerd: not the planned configuration":     {engine: &fakeEngine{containerd: true, pushed: manifestID, imageID: manifestID.String()}, registry: whole, config: someID, want: "the configuration is "},
		"containerd: the id is the index's":             {engine: &fakeEngine{containerd: true, pushed: indexID, imageID: indexID.String()}, registry: asIndex, verified: VerifiedContent},
		"containerd: a manifest of the index is pushed": {engine: &fakeEngine{containerd: true, pushed: manifestID, imageID: indexID.String(), manifests: []image.ManifestSummary{{ID: manifestID.String()}}}, registry: whole, verified: VerifiedContent},
		"containerd: something else is pushed":          {engine: &fakeEngine{containerd: true, pushed: manifestID, imageID: indexID.String()}, registry: whole, want: "which is not part of image " + indexID.String()},
		"a manifest of the index is missing":            {engine: &fakeEngine{containerd: true, pushed: indexID, imageID: indexID.String()}, registry: content{tag: index}, want: "the manifest " + manifestID.String() + " is missing"},
		"the configuration is missing":                  {engine: onTLS, registry: content{tag: manifest}, want: "the configuration " + configID.String() + " is missing"},
		"the configuration is damaged":                  {engine: onTLS, registry: content{tag: manifest, blobs + configID.String(): []byte("x")}, want: "is damaged: its content has "},
		"the tag has moved":                             {engine: &fakeEngine{pushed: manifestID, imageID: configID.String(), has: someID}, registry: content{tag: index}, want: "127.0.0.1:"},
		"the tag is missing":                            {engine: onTLS, registry: content{}, want: "there is no 127.0.0.1:"},
		"another registry answers here":                 {engine: &fakeEngine{pushed: manifestID, imageID: configID.String(), has: manifestID}, registry: content{}, verified: VerifiedDigest},
		"an insecure registry of a remote engine":       {engine: &fakeEngine{pushed: manifestID, imageID: configID.String(), has: manifestID}, registry: whole, remote: true, verified: VerifiedDigest},
		"nobody can ask":                                {engine: onTLS, remote: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.registry)
			defer server.Close()
			p, _, events := newPusher(t, c.engine)
			p.Local = !c.remote
			req := Request{
				Ref: ref(t, strings.TrimPrefix(server.URL, "http://")+"/x:v1"), ImageID: c.engine.imageID, Config: c.config,
				Auth: registry.AuthConfig{Username: "me", Password: "hunter2"},
			}
			got, err := p.Push(t.Context(), req)
			rec, recErr := p.Records.Get("engine-1", req.Ref)
			if recErr != nil {
				t.Fatal(recErr)
			}
			if c.want != "" {
				var different *DifferenceError
				if !errors.As(err, &different) || !strings.Contains(err.Error(), c.want) || got.Digest != "" || rec == nil {
					t.Errorf("got %+v, %v, record %+v; want %q", got, err, rec, c.want)
				}
				return
			}
			if err != nil || got.Verified != c.verified || got.Digest != c.engine.pushed.String() || rec != nil {
				t.Errorf("got %+v, %v, record %+v", got, err, rec)
			}
			if warned := strings.Contains(events.String(), "warning: what the registry has could not be compared"); warned != (c.verified == NotVerified) {
				t.Errorf("says %s", events)
			}
		})
	}
}
