package meter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// API is what is asked of the engine.
type API interface {
	ContainerStatsOneShot(ctx context.Context, container string) (container.StatsResponseReader, error)
	ContainerInspectWithRaw(ctx context.Context, container string, getSize bool) (container.InspectResponse, []byte, error)
}

const (
	// every is the time from one round to the next; a round that takes longer than
	// half of it is followed by as long a rest.
	every = time.Second
	// patience bounds a request for a frame, diskPatience one for a size.
	patience, diskPatience = 10 * time.Second, time.Minute
	// diskEvery is how old the size of a session's disk gets before it is measured
	// again, which reads all of its files. diskRest times as long as that took,
	// nothing is measured again.
	diskEvery, diskRest = time.Minute, 20
	// oncePatience is how long [Meter.Once] waits for sizes.
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
	api    API
	atOnce int
	disks  bool
	// wake tells that there may be a disk to measure.
	wake chan struct{}

	mu    sync.Mutex
	order []string
	known map[string]*entry
}

type entry struct {
	session session.Session
	last    *container.StatsResponse
	usage   *Usage
	disk    Disk
	tried   bool
	gone    bool
}

// New returns a meter that knows no sessions. It makes at most atOnce requests for
// usage at a time, and measures disks if it is told to.
func New(api API, atOnce int, disks bool) *Meter {
	return &Meter{api: api, atOnce: atOnce, disks: disks, wake: make(chan struct{}, 1), known: map[string]*entry{}}
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
		if !measurable(s) {
			e.last, e.usage = nil, nil
		}
		known[s.ID] = e
		m.order = append(m.order, s.ID)
	}
	m.known = known
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func measurable(s session.Session) bool { return s.State == session.Running || s.State == session.Paused }

// Run measures until ctx ends, and tells all readings after each round.
func (m *Meter) Run(ctx context.Context, tell func([]Reading)) error {
	var disks sync.WaitGroup
	defer disks.Wait()
	if m.disks {
		disks.Go(func() { m.measureDisks(ctx) })
	}
	for {
		began := time.Now()
		m.round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		tell(m.Readings())
		took := time.Since(began)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(every-took, took)):
		}
	}
}

// Once measures each session once: its processor over a second, its disk if that
// does not take too long.
func (m *Meter) Once(ctx context.Context) ([]Reading, error) {
	var disks errgroup.Group
	disks.SetLimit(m.atOnce)
	if m.disks {
		limited, cancel := context.WithTimeout(ctx, oncePatience)
		defer cancel()
		for _, id := range m.ids(func(*entry) bool { return true }) {
			disks.Go(func() error { m.measureDisk(limited, id); return nil })
		}
	}
	m.round(ctx)
	select {
	case <-ctx.Done():
	case <-time.After(every):
		m.round(ctx)
	}
	_ = disks.Wait() // none has an error
	return m.Readings(), ctx.Err()
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

func (m *Meter) ids(which func(*entry) bool) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for _, id := range m.order {
		if which(m.known[id]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// round reads a frame of each session.
func (m *Meter) round(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(m.atOnce)
	for _, id := range m.ids(func(e *entry) bool { return measurable(e.session) }) {
		group.Go(func() error {
			frame, os, err := m.frame(ctx, id)
			m.mu.Lock()
			defer m.mu.Unlock()
			e := m.known[id]
			switch {
			case e == nil || !measurable(e.session):
			case errors.Is(err, errGone):
				e.gone = true // the next list will say so too
			case err != nil:
				e.last, e.usage = nil, nil
			default:
				u := between(e.last, frame, os)
				e.last, e.usage = frame, &u
			}
			return nil
		})
	}
	_ = group.Wait() // what could not be read is not known
}

// errGone means that a session was deleted.
var errGone = errors.New("the session is gone")

func (m *Meter) frame(ctx context.Context, id string) (*container.StatsResponse, string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, err := m.api.ContainerStatsOneShot(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return nil, "", errGone
	}
	if err != nil {
		return nil, "", fmt.Errorf("read what a session uses: %w", err)
	}
	defer res.Body.Close()
	var frame container.StatsResponse
	err = json.NewDecoder(res.Body).Decode(&frame)
	if errors.Is(err, io.EOF) {
		// Engines answer so where it is deleted meanwhile (20.10).
		return nil, "", errGone
	}
	if err != nil {
		return nil, "", fmt.Errorf("read what a session uses: %w", err)
	}
	return &frame, res.OSType, nil
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
	e.tried, e.disk.At = true, time.Now()
	if err != nil || c.ContainerJSONBase == nil || c.SizeRw == nil {
		e.disk.Bytes = -1
		return
	}
	e.disk.Bytes = *c.SizeRw
}
