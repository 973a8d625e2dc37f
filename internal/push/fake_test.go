package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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
)

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

func (f *fakeTimer) Stop() {}

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
