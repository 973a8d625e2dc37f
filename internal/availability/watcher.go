package availability

import (
	"context"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/system"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Engine is what a [Watcher] asks of the engine.
type Engine interface {
	API
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)
	Info(ctx context.Context) (system.Info, error)
}

// Options are the settings of a [Watcher]; the zero value is useful.
type Options struct {
	// Auth returns the encoded credentials for an image reference, "" for none.
	// It may be nil: registries are asked without.
	Auth func(ref string) (encoded string, err error)
	// Offline means that registries are never asked.
	Offline bool
	// PerMinute is how many requests a registry gets in a minute; 0 means 20.
	PerMinute int
	// Recheck is how often a registry is asked whether it has another image than
	// the engine; 0 means 12 hours. Each counts as a pull with Docker Hub.
	Recheck time.Duration
	// Relist is how often the engine's images are listed though no event came; 0
	// means a minute.
	Relist time.Duration
}

// Entry is the availability of one workspace, as a [Watcher] knows it.
type Entry struct {
	Status
	// Since is when the state began, as far as the watcher saw it.
	Since time.Time
	// Checked is when a registry last said something of the image; zero if none did.
	Checked time.Time
}

// Watcher knows the availability of workspaces at any time, without asking
// anybody for it: it lists the engine's images once and again when events tell of
// a change, and asks registries at their pace for what the engine does not know.
// Its methods may be called at any time and from any goroutine, also before
// [Watcher.Run].
type Watcher struct {
	engine  *counted
	options Options
	// relist and reask wake Run where something changed that it waits for.
	relist, reask chan struct{}

	mu      sync.Mutex
	records map[string]*record
	targets map[string]*target
	hosts   map[string]*host
	pulls   map[string]*pull
	images  images
	names   names
	stats   engineStats
	seen    seen
	readers map[*reader]struct{}
}

// record is a workspace and what is known of it.
type record struct {
	ws *workspace.Workspace
	// key is the full name of its image, "" if it has none.
	key string
	// target is nil where there is no registry to ask; problem may say why.
	target  *target
	problem string
	entry   Entry
}

// pull is a pull under way, or one that ended after the list of images that is
// known began: until the next one nobody knows what came of it.
type pull struct {
	running int
	after   int64
}

// NewWatcher makes a watcher that knows no workspaces yet and asks nobody until
// it is run.
func NewWatcher(engine Engine, options Options) *Watcher {
	if options.PerMinute <= 0 {
		options.PerMinute = 20
	}
	if options.Recheck <= 0 {
		options.Recheck = 12 * time.Hour
	}
	if options.Relist <= 0 {
		options.Relist = time.Minute
	}
	return &Watcher{
		engine:  &counted{Engine: engine},
		options: options,
		relist:  make(chan struct{}, 1),
		reask:   make(chan struct{}, 1),
		records: map[string]*record{},
		targets: map[string]*target{},
		hosts:   map[string]*host{},
		pulls:   map[string]*pull{},
		readers: map[*reader]struct{}{},
	}
}

// Run watches until ctx ends, and returns its error. It survives that the engine
// goes away and comes back: meanwhile all states stay as they were. It is to be
// called once.
func (w *Watcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { w.follow(ctx) })
	if !w.options.Offline {
		wg.Go(func() { w.askRegistries(ctx) })
	}
	wg.Wait()
	return ctx.Err()
}

// SetWorkspaces tells which workspaces there are from now on. Those with
// Enabled false are watched as well, but registries are not asked for them. The
// watcher keeps the pointers and only reads.
func (w *Watcher) SetWorkspaces(list []*workspace.Workspace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	records, targets := make(map[string]*record, len(list)), make(map[string]*target, len(list))
	for _, ws := range list {
		r := &record{ws: ws}
		if old := w.records[ws.Name]; old != nil {
			r.entry = old.entry
		}
		records[ws.Name] = r
		if ws.Type == workspace.TypeContainer {
			w.resolve(r, targets, now)
		}
	}
	for name, old := range w.records {
		if records[name] == nil {
			w.publish(Change{Name: name, Old: old.entry.State})
		}
	}
	w.records, w.targets = records, targets
	w.evaluate(now)
	for _, t := range targets {
		if t.need == presence {
			// Not every way to make an image has an event on every engine.
			wake(w.relist)
			break
		}
	}
}

// resolve finds what a record's image is called and which registry knows it.
func (w *Watcher) resolve(r *record, targets map[string]*target, now time.Time) {
	r.key, _ = fullName(r.ws.Image)
	ref, err := imageref.Parse(r.ws.Image)
	if err != nil {
		r.problem = err.Error()
		return
	}
	t := targets[r.key]
	if t == nil {
		t = w.targets[r.key]
	}
	if t == nil {
		name := imageref.Host(ref)
		h := w.hosts[name]
		if h == nil {
			h = newHost(name, w.options.PerMinute)
			w.hosts[name] = h
		}
		t = newTarget(r.key, r.ws.Image, ref.Name(), h, now)
	}
	targets[r.key], r.target = t, t
}

// Pulling says that an image is being pulled, until done is called: its
// workspaces are [Pulling] until then and the engine's images have been listed
// once more. done may be called more than once.
func (w *Watcher) Pulling(image string) (done func()) {
	key, ok := fullName(image)
	if !ok {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pulls[key]
	if p == nil {
		p = &pull{}
		w.pulls[key] = p
	}
	p.running++
	w.evaluate(time.Now())
	return sync.OnceFunc(func() { w.pulled(key, p) })
}

func (w *Watcher) pulled(key string, p *pull) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.running--; p.running > 0 {
		return
	}
	if w.stats.connected {
		p.after = w.stats.lists
		wake(w.relist)
		return
	}
	delete(w.pulls, key)
	w.evaluate(time.Now())
}

// endPulls forgets the pulls that ended before the list of images with that
// number began.
func (w *Watcher) endPulls(list int64) {
	for key, p := range w.pulls {
		if p.running == 0 && p.after < list {
			delete(w.pulls, key)
		}
	}
}

// Status returns what is known of a workspace, and false if there is none of that name.
func (w *Watcher) Status(name string) (Entry, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.records[name]
	if !ok {
		return Entry{}, false
	}
	return r.entry, true
}

// All returns what is known of each workspace, by its name.
func (w *Watcher) All() map[string]Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]Entry, len(w.records))
	for name, r := range w.records {
		all[name] = r.entry
	}
	return all
}

func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
