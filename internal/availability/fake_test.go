package availability

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
	"github.com/opencontainers/go-digest"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// fake is an engine in memory, with the faults of real ones: its clock is not
// ours, it answers a subscription before it holds, and it forgets all but the
// last 256 events.
type fake struct {
	mu     sync.Mutex
	tags   map[string]string   // image ids by name
	pulled map[string][]string // NAME@DIGEST by image id
	log    []events.Message
	subs   map[*subscription]struct{}
	last   time.Time
	down   bool
	lose   bool
	// gap is how long a subscription takes to hold after it was answered.
	gap time.Duration
	// listing is called with the list made and not yet returned.
	listing func()
	// takes is how long a list takes.
	takes time.Duration

	lists  int
	since  []string
	remote map[string]remote
	asked  []request
}

type remote struct {
	digest string
	err    error
	takes  time.Duration
}

type request struct {
	ref string
	at  time.Time
}

type subscription struct {
	messages chan events.Message
	end      chan struct{}
}

func newFake() *fake {
	return &fake{tags: map[string]string{}, pulled: map[string][]string{}, subs: map[*subscription]struct{}{}, remote: map[string]remote{}}
}

// with changes the fake while it is in use.
func (f *fake) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func hex(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// now is the engine's clock: days behind ours, and never the same twice.
func (f *fake) now() time.Time {
	now := time.Now().Add(-72 * time.Hour)
	if !now.After(f.last) {
		now = f.last.Add(1)
	}
	f.last = now
	return now
}

// put gives an image a name, as a tag does; with a digest as a pull does.
func (f *fake) put(name, id, digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tags[name] = id
	action, actor := events.ActionTag, id
	if digest != "" {
		action, actor = events.ActionPull, name
		ref, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			panic(err)
		}
		if known := ref.Name() + "@" + digest; !slices.Contains(f.pulled[id], known) {
			f.pulled[id] = append(f.pulled[id], known)
		}
	}
	f.emit(events.ImageEventType, action, actor)
}

// push gives a name its digest in the registry. actor is what the engine's event
// of it names.
func (f *fake) push(name, digest, actor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remote[name] = remote{digest: digest}
	f.emit(events.ImageEventType, events.ActionPush, actor)
}

func (f *fake) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.tags[name]
	delete(f.tags, name)
	f.emit(events.ImageEventType, events.ActionUnTag, id)
	if !slices.Contains(slices.Collect(maps.Values(f.tags)), id) {
		delete(f.pulled, id)
		f.emit(events.ImageEventType, events.ActionDelete, id)
	}
}

func (f *fake) emit(kind events.Type, action events.Action, id string) {
	now := f.now()
	m := events.Message{Type: kind, Action: action, Actor: events.Actor{ID: id}, TimeNano: now.UnixNano(), Time: now.Unix()}
	if f.lose {
		return
	}
	if f.log = append(f.log, m); len(f.log) > 256 {
		f.log = f.log[1:]
	}
	for s := range f.subs {
		s.messages <- m
	}
}

// cut ends all connections; the engine does not come back before up.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	for s := range f.subs {
		close(s.end)
		delete(f.subs, s)
	}
}

// up brings the engine back, without its memory of events if it was restarted.
func (f *fake) up(restarted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down = false; restarted {
		f.log = nil
	}
}

func (f *fake) gone() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return &net.OpError{Op: "dial", Err: io.EOF}
	}
	return nil
}

func (f *fake) Info(context.Context) (system.Info, error) {
	if err := f.gone(); err != nil {
		return system.Info{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return system.Info{SystemTime: f.now().Format(time.RFC3339Nano)}, nil
}

func (f *fake) ImageList(ctx context.Context, _ image.ListOptions) ([]image.Summary, error) {
	if err := f.gone(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.lists++
	list := f.summaries()
	listing, takes := f.listing, f.takes
	f.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if listing != nil {
		listing()
	}
	return list, nil
}

func (f *fake) summaries() []image.Summary {
	byID := map[string]*image.Summary{}
	for name, id := range f.tags {
		if byID[id] == nil {
			byID[id] = &image.Summary{ID: id, RepoDigests: slices.Clone(f.pulled[id]), Created: 1700000000, Size: 7}
		}
		byID[id].RepoTags = append(byID[id].RepoTags, name)
	}
	list := make([]image.Summary, 0, len(byID))
	for _, img := range byID {
		list = append(list, *img)
	}
	return list
}

func (f *fake) Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error) {
	messages, errs := make(chan events.Message), make(chan error, 1)
	if err := f.gone(); err != nil {
		errs <- err
		return messages, errs
	}
	seconds, nanos, found := strings.Cut(options.Since, ".")
	s, err1 := strconv.ParseInt(seconds, 10, 64)
	n, err2 := strconv.ParseInt(nanos, 10, 64)
	if !found || len(nanos) != 9 || err1 != nil || err2 != nil {
		errs <- fmt.Errorf("since %q is not seconds.nanoseconds", options.Since)
		return messages, errs
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = append(f.since, options.Since)
	gap := f.gap
	go func() {
		defer close(errs)
		if gap > 0 {
			time.Sleep(gap)
		}
		sub := &subscription{messages: make(chan events.Message, 2000), end: make(chan struct{})}
		f.mu.Lock()
		for _, m := range f.log {
			if m.TimeNano >= s*1e9+n {
				sub.messages <- m
			}
		}
		f.subs[sub] = struct{}{}
		f.mu.Unlock()
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.subs, sub)
		}()
		for {
			var m events.Message
			select {
			case m = <-sub.messages:
			case <-sub.end:
				errs <- io.EOF
				return
			case <-ctx.Done():
				errs <- ctx.Err()
				return
			}
			select {
			case messages <- m:
			case <-sub.end:
				errs <- io.EOF
				return
			case <-ctx.Done():
				errs <- ctx.Err()
				return
			}
		}
	}()
	return messages, errs
}

func (f *fake) DistributionInspect(ctx context.Context, ref, _ string) (registry.DistributionInspect, error) {
	if err := f.gone(); err != nil {
		return registry.DistributionInspect{}, err
	}
	f.mu.Lock()
	f.asked = append(f.asked, request{ref, time.Now()})
	got, ok := f.remote[ref]
	if host, _, _ := strings.Cut(ref, "/"); !ok {
		got, ok = f.remote[host]
	}
	f.mu.Unlock()
	if got.takes > 0 {
		select {
		case <-time.After(got.takes):
		case <-ctx.Done():
			return registry.DistributionInspect{}, ctx.Err()
		}
	}
	if !ok {
		return registry.DistributionInspect{}, fmt.Errorf("manifest unknown: manifest unknown")
	}
	found := registry.DistributionInspect{}
	found.Descriptor.Digest = digest.Digest(got.digest)
	return found, got.err
}

// setRemote says what registries make of a full name, or one of all others.
func (f *fake) setRemote(ref string, r remote) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remote[ref] = r
}

// requests are those for names that begin with prefix.
func (f *fake) requests(prefix string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	var at []time.Time
	for _, r := range f.asked {
		if strings.HasPrefix(r.ref, prefix) {
			at = append(at, r.at)
		}
	}
	return at
}

func (f *fake) listed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lists
}

func container(name, image string) *workspace.Workspace {
	return &workspace.Workspace{Name: name, Type: workspace.TypeContainer, Image: image, Enabled: true}
}

func snapshotOf(name, image, id string) *workspace.Workspace {
	ws := container(name, image)
	ws.Snapshot = &workspace.Snapshot{ImageID: id}
	return ws
}

// run starts a watcher within a synctest bubble and waits until it is quiet.
func run(t *testing.T, f *fake, options Options, list ...*workspace.Workspace) *Watcher {
	t.Helper()
	w := NewWatcher(f, options)
	w.SetWorkspaces(list)
	go func() {
		if err := w.Run(t.Context()); err == nil {
			t.Error("Run ended without an error while its context had not")
		}
	}()
	settle()
	return w
}

// settle lets everything happen that happens within a second.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func expect(t *testing.T, w *Watcher, name string, want State, reason string) Entry {
	t.Helper()
	got, ok := w.Status(name)
	if !ok || got.State != want || !strings.Contains(got.Reason, reason) {
		t.Errorf("%s is %s (%s), want %s (%s)", name, got.State, got.Reason, want, reason)
	}
	return got
}
