package availability

import (
	"context"
	"sync"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
)

// askRegistries asks registries for what is due, until ctx ends. Only while the
// engine answers: they are asked through it.
func (w *Watcher) askRegistries(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, atOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.reask:
		case <-timer.C:
		}
		for {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			t, wait := w.nextTarget(time.Now())
			if t == nil {
				<-slots
				timer.Reset(wait)
				break
			}
			wg.Go(func() {
				w.askOne(ctx, t)
				<-slots
			})
		}
	}
}

// longestIdle is slept where nothing is due; whatever changes ends it before.
const longestIdle = time.Hour

// nextTarget takes the name that a registry is to be asked for now. If there is
// none it returns nil, and in how long there may be one.
func (w *Watcher) nextTarget(now time.Time) (*target, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stats.connected {
		return nil, longestIdle
	}
	var (
		best    *target
		bestDue time.Time
		next    = now.Add(longestIdle)
	)
	for _, t := range w.targets {
		if t.need == nothing || t.asking || t.host.asking {
			continue // the end of a request wakes this up
		}
		due := t.due(w.options.Recheck)
		free := t.host.next(now)
		if at := later(due, free); at.After(now) {
			if at.Before(next) {
				next = at
			}
			continue
		}
		if best == nil || due.Before(bestDue) {
			best, bestDue = t, due
		}
	}
	if best == nil {
		return nil, next.Sub(now)
	}
	best.asking = true
	best.host.begin(now)
	return best, 0
}

func (w *Watcher) askOne(ctx context.Context, t *target) {
	w.mu.Lock()
	image := t.image
	t.changed = false
	w.mu.Unlock()
	got, err := answer{}, error(nil)
	ref, err := imageref.Parse(t.name)
	if err == nil {
		got, err = ask(ctx, w.engine, w.options.Auth, t.name, ref)
	}
	got.image = image
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		t.asking, t.host.asking = false, false
		return
	}
	now := time.Now()
	renewed := t.changed
	if err != nil {
		t.changed = true
	}
	t.settle(got, err, now)
	if renewed {
		t.renew() // it may have been answered before what changed
	}
	w.evaluate(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
