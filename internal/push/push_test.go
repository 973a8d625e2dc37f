package push

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

var errBusy = errors.New("toomanyrequests: retry-after: 1.5s, allowed: 44000/minute")

// fakeEngine answers each push with the next of its errors, and with success
// once there are none left.
type fakeEngine struct {
	containerd bool
	fail       []error
	pushes     int
	pushed     digest.Digest
	imageID    string
	manifests  []image.ManifestSummary
	// has is what it finds in the registry, "" for an error.
	has digest.Digest
	// during runs within each push.
	during func()
}

func (f *fakeEngine) Info(context.Context) (system.Info, error) {
	_, loopback, err := net.ParseCIDR("127.0.0.0/8")
	info := system.Info{ID: "engine-1", RegistryConfig: &registry.ServiceConfig{InsecureRegistryCIDRs: []*registry.NetIPNet{(*registry.NetIPNet)(loopback)}}}
	if f.containerd {
		info.DriverStatus = [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
	}
	return info, err
}

func (f *fakeEngine) ImageInspect(context.Context, string, ...client.ImageInspectOption) (image.InspectResponse, error) {
	if f.imageID == "" {
		return image.InspectResponse{}, cerrdefs.ErrNotFound
	}
	return image.InspectResponse{ID: f.imageID, Manifests: f.manifests}, nil
}

func (f *fakeEngine) ImagePush(context.Context, string, image.PushOptions) (io.ReadCloser, error) {
	f.pushes++
	if f.during != nil {
		f.during()
	}
	stream := fmt.Sprintf(`{"status":"Pushed","id":"layer"}{"status":"v1: digest: %s size: 528"}`, f.pushed)
	if len(f.fail) > 0 {
		err := f.fail[0]
		f.fail = f.fail[1:]
		text, jsonErr := json.Marshal(err.Error())
		stream = `{"errorDetail":{"message":` + string(text) + `},"error":"x"}`
		if jsonErr != nil {
			return nil, jsonErr
		}
	}
	return io.NopCloser(strings.NewReader(stream)), nil
}

func (f *fakeEngine) DistributionInspect(context.Context, string, string) (registry.DistributionInspect, error) {
	if f.has == "" {
		return registry.DistributionInspect{}, errors.New("no such host")
	}
	return registry.DistributionInspect{Descriptor: ocispec.Descriptor{Digest: f.has}}, nil
}

// fakeTimer is over at once, and keeps what was waited for.
type fakeTimer struct {
	waits []time.Duration
	over  chan time.Time
	// never keeps it from being over.
	never bool
	began func()
}

func (f *fakeTimer) Start(d time.Duration) {
	f.waits = append(f.waits, d)
	f.over = make(chan time.Time, 1)
	if f.began != nil {
		f.began()
	}
	if !f.never {
		f.over <- time.Time{}
	}
}
func (f *fakeTimer) Stop()               {}
func (f *fakeTimer) C() <-chan time.Time { return f.over }

func ref(t *testing.T, s string) reference.NamedTagged {
	t.Helper()
	r, err := imageref.ParseTagged(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// log keeps the events of a push as text.
type log struct{ lines []string }

func (l *log) add(e Event) {
	switch {
	case e.Warning != "":
		l.lines = append(l.lines, "warning: "+e.Warning)
	case e.Info != "":
		l.lines = append(l.lines, e.Info)
	}
}

func (l *log) String() string { return strings.Join(l.lines, "\n") }

func newPusher(t *testing.T, api API) (*Pusher, *fakeTimer, *log) {
	t.Helper()
	timer, events := &fakeTimer{}, &log{}
	return &Pusher{
		API: api, Local: true, Context: "there", Records: OpenRecords(filepath.Join(t.TempDir(), "pushes")), Retries: 3, Timer: timer,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Report: events.add,
	}, timer, events
}

const someID = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestRetriesWaitAsLongAsAskedAndLongerEachTime(t *testing.T) {
	reset := errors.New("connection reset by peer")
	api := &fakeEngine{containerd: true, pushed: someID, has: someID, fail: []error{reset, errBusy, reset}}
	p, timer, events := newPusher(t, api)
	got, err := p.Push(t.Context(), Request{Ref: ref(t, "127.0.0.1:1/x:v1"), ImageID: someID})
	if err != nil || got.Attempts != 4 || got.Digest != someID || got.Verified != VerifiedDigest {
		t.Fatalf("got %+v, %v", got, err)
	}
	// Half of each wait is jitter, either way.
	for i, base := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		asked := []time.Duration{0, 1500 * time.Millisecond, 0}[i]
		if w := timer.waits[i] - asked; w < base/2 || w > base*3/2 {
			t.Errorf("wait %d is %s, want about %s on top of %s", i, timer.waits[i], base, asked)
		}
	}
	for _, want := range []string{"attempt 1 of 4 failed: connection reset by peer; trying again in ", "attempt 2 of 4 failed: toomanyrequests"} {
		if !strings.Contains(events.String(), want) {
			t.Errorf("%q is not in:\n%s", want, events)
		}
	}
	if rec, err := p.Records.Get("engine-1", ref(t, "127.0.0.1:1/x:v1")); rec != nil || err != nil {
		t.Errorf("a record is left: %+v, %v", rec, err)
	}
}

func TestPushGivesUp(t *testing.T) {
	denied := errors.New("denied: requested access to the resource is denied")
	long := errors.New("toomanyrequests: retry-after: 1h")
	for name, c := range map[string]struct {
		fail    []error
		retries uint
		pushes  int
		want    string
	}{
		"at once when refused":               {[]error{denied}, 3, 1, "denied"},
		"at once when it is told to":         {[]error{errBusy}, 0, 1, "toomanyrequests"},
		"at once when asked to wait long":    {[]error{long}, 3, 1, "the registry asks to wait for 1h0m0s"},
		"when refused after a retry":         {[]error{errBusy, denied}, 3, 2, "denied"},
		"after all retries, with the reason": {[]error{errBusy, errBusy, errBusy}, 2, 3, "toomanyrequests"},
	} {
		t.Run(name, func(t *testing.T) {
			api := &fakeEngine{pushed: someID, fail: c.fail}
			p, timer, _ := newPusher(t, api)
			p.Retries = c.retries
			_, err := p.Push(t.Context(), Request{Ref: ref(t, "x/y:v1"), ImageID: someID, Workspace: "w", Auth: registry.AuthConfig{Username: "me", Password: "hunter2"}})
			if err == nil || !strings.Contains(err.Error(), c.want) || api.pushes != c.pushes || len(timer.waits) != c.pushes-1 {
				t.Fatalf("%d pushes, waits %v: %v", api.pushes, timer.waits, err)
			}
			rec, err := p.Records.Get("engine-1", ref(t, "x/y:v1"))
			want := Record{Image: "x/y:v1", ImageID: someID, EngineID: "engine-1", Context: "there", Workspace: "w", Time: p.Now(), Attempts: c.pushes}
			if err != nil || rec == nil || !strings.Contains(rec.Reason, c.want) {
				t.Fatalf("record %+v, %v", rec, err)
			}
			if rec.Reason = ""; *rec != want {
				t.Errorf("record %+v, want %+v", *rec, want)
			}
			noSecret(t, p.Records.dir, "hunter2")
		})
	}
}

func noSecret(t *testing.T, dir, secret string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil || strings.Contains(string(data), secret) || strings.Contains(string(data), base64.StdEncoding.EncodeToString([]byte(secret))) {
		t.Errorf("%s, %v", data, err)
	}
}

func TestInterruptEndsAWaitAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, timer, _ := newPusher(t, &fakeEngine{pushed: someID, fail: []error{errBusy}})
	timer.never, timer.began = true, cancel
	_, err := p.Push(ctx, Request{Ref: ref(t, "x/y:v1"), ImageID: someID})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if rec, err := p.Records.Get("engine-1", ref(t, "x/y:v1")); err != nil || rec == nil || rec.Reason != "interrupted" || rec.Attempts != 1 {
		t.Errorf("record %+v, %v", rec, err)
	}
}

func TestRecordIsThereWhileThePushIs(t *testing.T) {
	api := &fakeEngine{containerd: true, pushed: someID, has: someID}
	p, _, _ := newPusher(t, api)
	var during *Record
	api.during = func() { during, _ = p.Records.Get("engine-1", ref(t, "127.0.0.1:1/x:v1")) }
	if _, err := p.Push(t.Context(), Request{Ref: ref(t, "127.0.0.1:1/x:v1"), ImageID: someID}); err != nil {
		t.Fatal(err)
	}
	if during == nil || during.Reason != unfinished {
		t.Errorf("record %+v", during)
	}
}

func TestRecordsThatCannotBeWrittenDoNotStopThePush(t *testing.T) {
	p, _, events := newPusher(t, &fakeEngine{containerd: true, pushed: someID, has: someID})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Records = OpenRecords(filepath.Join(file, "pushes"))
	if got, err := p.Push(t.Context(), Request{Ref: ref(t, "127.0.0.1:1/x:v1"), ImageID: someID}); err != nil || got.Digest != someID {
		t.Errorf("got %+v, %v", got, err)
	}
	if !strings.Contains(events.String(), "warning: a failure of this push could not be resumed") {
		t.Errorf("says %s", events)
	}
}

func TestListPassesOverBadFiles(t *testing.T) {
	r := OpenRecords(t.TempDir())
	for i, name := range []string{"x/b:v1", "x/a:v1"} {
		if err := r.Save(Record{Image: name, EngineID: "e", Time: time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"bad.json": "{", "evil.json": `{"Image":"../../x\u001b"}`, ".tmp.json": "{", "note.txt": "{"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.List()
	if len(list) != 2 || list[0].Image != "x/b:v1" || err == nil || strings.Count(err.Error(), "remove the file") != 2 {
		t.Errorf("got %+v, %v", list, err)
	}
}

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
	t.Run("refused", func(t *testing.T) {
		p, _, _ := newPusher(t, &fakeEngine{imageID: someID, fail: []error{errors.New("no basic auth credentials")}})
		if _, err := p.Resume(t.Context(), ref(t, image), ask, catalog); err == nil || !strings.Contains(err.Error(), "log in with `docker login 127.0.0.1:1`") {
			t.Errorf("got %v", err)
		}
	})
}
