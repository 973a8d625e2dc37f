package push

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const commented = `# mine
friendly_name = "Mine" # kept
image = "IMAGE"

[snapshot]
# where it came from
image_id = "ID"
`

func TestResumeSetsTheDigestOfThatImageOnly(t *testing.T) {
	const image = "127.0.0.1:1/x:v1"
	api := &fakeEngine{containerd: true, pushed: someID, has: someID, imageID: someID}
	p, _, events := newPusher(t, api)
	catalog := workspace.Open(t.TempDir())
	files := map[string]string{
		"same":      strings.NewReplacer("IMAGE", image, "ID", someID).Replace(commented),
		"other-id":  strings.NewReplacer("IMAGE", image, "ID", strings.ReplaceAll(someID, "0", "1")).Replace(commented),
		"other-tag": strings.NewReplacer("IMAGE", "127.0.0.1:1/x:v2", "ID", someID).Replace(commented),
		"plain":     "image = \"" + image + "\"\n",
	}
	for name, text := range files {
		if _, err := catalog.CreateRaw(t.Context(), name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Records.Save(Record{Image: image, ImageID: someID, EngineID: "engine-1", Workspace: "gone", Time: p.Now(), Attempts: 2, Reason: "denied"}); err != nil {
		t.Fatal(err)
	}
	got, err := p.Resume(t.Context(), ref(t, image), func(string) (registry.AuthConfig, error) { return registry.AuthConfig{}, nil }, catalog)
	if err != nil || got.Digest != someID || len(got.Workspaces) != 1 || got.Workspaces[0] != "same" {
		t.Fatalf("got %+v, %v", got, err)
	}
	for name, want := range files {
		if name == "same" {
			want += "digest = \"" + someID + "\"\n"
		}
		if data, _, err := catalog.Raw(t.Context(), name); err != nil || string(data) != want {
			t.Errorf("%s is now, %v:\n%s", name, err, data)
		}
	}
	for _, want := range []string{"tried 2 times before, last on ", ": denied", "workspace gone, which waited for the digest, is gone"} {
		if !strings.Contains(events.String(), want) {
			t.Errorf("%q is not in:\n%s", want, events)
		}
	}
}

// unlisted is a catalog that cannot be listed.
type unlisted struct {
	*workspace.Catalog
	get error
}

func (unlisted) List(context.Context) ([]*workspace.Workspace, error) {
	return nil, errors.New("the helper does not answer")
}

func (u unlisted) Get(ctx context.Context, name string) (*workspace.Workspace, error) {
	if u.get != nil {
		return nil, u.get
	}
	return u.Catalog.Get(ctx, name)
}

func TestResumeSaysWhereTheRegistrationThatWaitsCannotBeRead(t *testing.T) {
	const image = "127.0.0.1:1/x:v1"
	for name, get := range map[string]error{"it is not listed": nil, "it cannot be read": errors.New("input/output error")} {
		t.Run(name, func(t *testing.T) {
			p, _, events := newPusher(t, &fakeEngine{containerd: true, pushed: someID, has: someID, imageID: someID})
			catalog := workspace.Open(t.TempDir())
			text := strings.NewReplacer("IMAGE", image, "ID", someID).Replace(commented)
			if _, err := catalog.CreateRaw(t.Context(), "mine", []byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := p.Records.Save(Record{Image: image, ImageID: someID, EngineID: "engine-1", Workspace: "mine"}); err != nil {
				t.Fatal(err)
			}
			got, err := p.Resume(t.Context(), ref(t, image), func(string) (registry.AuthConfig, error) { return registry.AuthConfig{}, nil }, unlisted{catalog, get})
			if !errors.Is(err, get) || get == nil && !slices.Equal(got.Workspaces, []string{"mine"}) {
				t.Errorf("got %+v, %v", got, err)
			}
			if strings.Contains(events.String(), "is gone") {
				t.Errorf("says\n%s", events)
			}
		})
	}
}

func TestResumeLooksAtTheImageFirst(t *testing.T) {
	const image = "127.0.0.1:1/x:v1"
	ask := func(string) (registry.AuthConfig, error) { return registry.AuthConfig{}, nil }
	catalog := workspace.Open(t.TempDir())
	t.Run("another one", func(t *testing.T) {
		p, _, events := newPusher(t, &fakeEngine{containerd: true, pushed: someID, has: someID, imageID: someID})
		if err := p.Records.Save(Record{Image: image, ImageID: "sha256:former", EngineID: "engine-1"}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resume(t.Context(), ref(t, image), ask, catalog); err != nil || !strings.Contains(events.String(), "another image than the one whose push failed, sha256:former") {
			t.Errorf("%v, says %s", err, events)
		}
		if rec, err := p.Records.Get("engine-1", ref(t, image)); rec != nil || err != nil {
			t.Errorf("a record is left: %+v, %v", rec, err)
		}
	})
	t.Run("removed", func(t *testing.T) {
		p, _, _ := newPusher(t, &fakeEngine{})
		if err := p.Records.Save(Record{Image: image, ImageID: someID, EngineID: "engine-1"}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resume(t.Context(), ref(t, image), ask, catalog); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "removed since its push failed") {
			t.Errorf("got %v", err)
		}
		if rec, err := p.Records.Get("engine-1", ref(t, image)); rec != nil || err != nil {
			t.Errorf("a record is left: %+v, %v", rec, err)
		}
	})
	t.Run("on another engine", func(t *testing.T) {
		p, _, _ := newPusher(t, &fakeEngine{})
		if err := p.Records.Save(Record{Image: image, ImageID: someID, EngineID: "engine-2", Context: "far"}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resume(t.Context(), ref(t, image), ask, catalog); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "`docker --context far kasm push "+image+"`") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with what may be secret", func(t *testing.T) {
		for _, why := range []string{"unauthorized", "no space left on device"} {
			fail := errors.New(`Put "https://ann:s3cret@storage.example/x?X-Amz-Signature=s3cret": ` + why)
			p, _, _ := newPusher(t, &fakeEngine{imageID: someID, fail: []error{fail}})
			if _, err := p.Resume(t.Context(), ref(t, image), ask, catalog); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), why) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		p, _, _ := newPusher(t, &fakeEngine{imageID: someID, fail: []error{errors.New("no basic auth credentials")}})
		if _, err := p.Resume(t.Context(), ref(t, image), ask, catalog); err == nil || !strings.Contains(err.Error(), "log in with `docker login 127.0.0.1:1`") {
			t.Errorf("got %v", err)
		}
	})
}
