package meter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// API is what is asked of the engine.
type API interface {
	ContainerStats(ctx context.Context, container string, stream bool) (container.StatsResponseReader, error)
	ContainerInspectWithRaw(ctx context.Context, container string, getSize bool) (container.InspectResponse, []byte, error)
}

const (
	// every is the time from one reading to the next. Engines send frames as often.
	every = time.Second
	// firstPatience is how long the first reading waits for a frame of each session.
	firstPatience = 3 * time.Second
	// opening is how many streams are opened at a time: by ssh each is a login, and
	// servers take ten of them that are not done yet.
	opening = 8
	// diskPatience bounds the measuring of a disk.
	diskPatience = time.Minute
	// diskEvery is how old the size of a session's disk gets before it is measured
	// again, which reads all of its files. diskRest times as long as that took,
	// nothing is measured again.
	diskEvery, diskRest = time.Minute, 20
	// oncePatience is how long [Meter.Once] waits for frames and sizes.
	oncePatience = 10 * time.Second
)

// Reading is what was last measured of a session.
type Reading struct {
	Session session.Session
	// Usage is nil for a session that does not run, and where nothing is known yet.
	Usage *Usage
	Disk  Disk
}

// Disk is what a session has written to its disk.
type Disk struct {
	// Bytes is -1 where that is not known yet.
	Bytes int64
	// At is when it was measured.
	At time.Time
}

// Meter measures sessions. Its methods may be called from any goroutine.
type Meter struct {
	api   API
	disks bool
	slots chan struct{}
	// sizing are the slots of sizes: a frame does not wait until disks are read.
	sizing chan struct{}
	// wake tells that there may be a disk to measure, changed that there are other
	// sessions, and news that something was measured.
	wake, changed, news chan struct{}

	mu    sync.Mutex
	order []string
	known map[string]*entry
}

// entry is a session and what is known of it.
type entry struct {
	session session.Session
	// stop ends the stream of frames, nil if there is none.
	stop  context.CancelFunc
	last  *container.StatsResponse
	usage *Usage
	// frames counts those that came; failed is set where none will soon.
	frames int
	failed bool
	disk   Disk
	// tried is set once the disk was measured, or could not be.
	tried bool
	// gone is set once the engine knows the session no more.
	gone bool
}

// New returns a meter that knows no sessions. It measures disks if it is told to.
func New(api API, disks bool) *Meter {
	return &Meter{
		api: api, disks: disks, slots: make(chan struct{}, opening), sizing: make(chan struct{}, opening), known: map[string]*entry{},
		wake: make(chan struct{}, 1), changed: make(chan struct{}, 1), news: make(chan struct{}, 1),
	}
}

// Set tells which sessions are measured from now on.
func (m *Meter) Set(list []session.Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := make(map[string]*entry, len(list))
	m.order = m.order[:0]
	for _, s := range list {
		e := m.known[s.ID]
		if e == nil {
			e = &entry{disk: Disk{Bytes: -1}}
		}
		e.session, e.gone = s, false
		known[s.ID] = e
		m.order = append(m.order, s.ID)
	}
	for id, e := range m.known {
		if known[id] == nil {
			e.end()
		}
	}
	m.known = known
	poke(m.wake)
	poke(m.changed)
}

// end forgets what a session uses, which does not run. m.mu is held.
func (e *entry) end() {
	if e.stop != nil {
		e.stop()
	}
	e.stop, e.last, e.usage, e.frames, e.failed = nil, nil, nil, 0, false
}

// measurable tells whether a session uses anything that can be measured.
func (e *entry) measurable() bool {
	return !e.gone && (e.session.State == session.Running || e.session.State == session.Paused)
}

// Run measures until ctx ends, and tells all readings every second.
func (m *Meter) Run(ctx context.Context, tell func([]Reading)) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { m.follow(ctx) })
	if m.disks {
		running.Go(func() { m.measureDisks(ctx) })
	}
	m.await(ctx, firstPatience, func(e *entry) bool { return e.frames > 0 || e.failed || !e.measurable() })
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		tell(m.Readings())
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// Once measures each session once: its processor from one frame to the next, and
// its disk if that does not take too long.
func (m *Meter) Once(ctx context.Context) ([]Reading, error) {
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { m.follow(inner) })
	if m.disks {
		for _, id := range m.ids() {
			running.Go(func() {
				m.sizing <- struct{}{}
				defer func() { <-m.sizing }()
				m.measureDisk(inner, id)
			})
		}
	}
	m.await(ctx, oncePatience, func(e *entry) bool {
		return e.gone || (e.frames > 1 || e.failed || !e.measurable()) && (e.tried || !m.disks)
	})
	return m.Readings(), ctx.Err()
}

// await waits until all entries are done, for so long at most.
func (m *Meter) await(ctx context.Context, patience time.Duration, done func(*entry) bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !m.all(done) {
		select {
		case <-ctx.Done():
			return
		case <-m.news:
		}
	}
}

func (m *Meter) all(done func(*entry) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.known {
		if !done(e) {
			return false
		}
	}
	return true
}

func (m *Meter) ids() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// Readings returns what was last measured, in the order of the sessions.
func (m *Meter) Readings() []Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Reading
	for _, id := range m.order {
		if e := m.known[id]; !e.gone {
			list = append(list, Reading{Session: e.session, Usage: e.usage, Disk: e.disk})
		}
	}
	return list
}

// follow keeps a stream of frames open for each session that runs, until ctx ends.
func (m *Meter) follow(ctx context.Context) {
	var streams sync.WaitGroup
	defer streams.Wait()
	for ctx.Err() == nil {
		m.mu.Lock()
		for id, e := range m.known {
			switch {
			case e.measurable() && e.stop == nil:
				var inner context.Context
				inner, e.stop = context.WithCancel(ctx)
				streams.Go(func() { m.followOne(inner, id, e) })
			case !e.measurable() && e.stop != nil:
				e.end()
			}
		}
		m.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-m.changed:
		}
	}
}

// followOne reads frames until ctx ends or the session is gone.
func (m *Meter) followOne(ctx context.Context, id string, e *entry) {
	for ctx.Err() == nil {
		err := m.stream(ctx, id, e)
		m.mu.Lock()
		if ctx.Err() == nil {
			e.last, e.usage, e.failed = nil, nil, true
			if e.gone = errors.Is(err, errGone); e.gone {
				// One that is listed after all is followed anew.
				e.end()
			}
			poke(m.news)
		}
		m.mu.Unlock()
		if errors.Is(err, errGone) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
}

// errGone means that a session was deleted.
var errGone = errors.New("the session is gone")

func (m *Meter) stream(ctx context.Context, id string, e *entry) error {
	res, err := m.open(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("read what a session uses: %w", err)
	}
	defer res.Body.Close()
	frames := json.NewDecoder(res.Body)
	for n := 0; ; n++ {
		var frame container.StatsResponse
		err := frames.Decode(&frame)
		if n == 0 && errors.Is(err, io.EOF) {
			// Engines answer so where it is deleted meanwhile (20.10).
			return errGone
		}
		if err != nil {
			return fmt.Errorf("read what a session uses: %w", err)
		}
		m.mu.Lock()
		if ctx.Err() == nil {
			u := between(e.last, &frame, res.OSType)
			e.last, e.usage, e.failed = &frame, &u, false
			e.frames++
			poke(m.news)
		}
		m.mu.Unlock()
	}
}

func (m *Meter) open(ctx context.Context, id string) (container.StatsResponseReader, error) {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return container.StatsResponseReader{}, ctx.Err()
	}
	return m.api.ContainerStats(ctx, id, true)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // one is on its way
	}
}

// measureDisks measures one disk after the other until ctx ends.
func (m *Meter) measureDisks(ctx context.Context) {
	for ctx.Err() == nil {
		id, first, wait := m.dueDisk(time.Now())
		if id == "" {
			select {
			case <-ctx.Done():
			case <-m.wake:
			case <-time.After(wait):
			}
			continue
		}
		began := time.Now()
		m.measureDisk(ctx, id)
		if !first {
			select {
			case <-ctx.Done():
			case <-time.After(diskRest * time.Since(began)):
			}
		}
	}
}

// dueDisk returns the session whose disk is to be measured now, and whether that is
// the first time; else "", and in how long there may be one.
func (m *Meter) dueDisk(now time.Time) (id string, first bool, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait = diskEvery
	for _, candidate := range m.order {
		e := m.known[candidate]
		switch left := e.disk.At.Add(diskEvery).Sub(now); {
		case e.gone:
		case !e.tried:
			return candidate, true, 0
		case left <= 0 && (id == "" || e.disk.At.Before(m.known[id].disk.At)):
			id = candidate
		case left > 0:
			wait = min(wait, left)
		}
	}
	return id, false, wait
}

// measureDisk asks how much a session has written. What fails is tried again when
// it is due the next time.
func (m *Meter) measureDisk(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, diskPatience)
	defer cancel()
	c, _, err := m.api.ContainerInspectWithRaw(ctx, id, true)
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.known[id]
	if e == nil {
		return
	}
	defer poke(m.news)
	e.tried, e.disk.At = true, time.Now()
	if err != nil || c.ContainerJSONBase == nil || c.SizeRw == nil {
		e.disk.Bytes = -1
		return
	}
	e.disk.Bytes = *c.SizeRw
}
