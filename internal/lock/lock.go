// Package lock lets one process at a time do something with an engine's object,
// across all machines that use the engine.
//
// A lock is a volume: engines make volumes by name in one step, and tell who
// made one first by its labels. The holder renews its lock by the next volume
// of the same key; one that is not renewed for Lease belongs to nobody. All
// times are the engine's own.
package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

const (
	// Label is on every lock's volume and holds its key; those below it tell
	// about the holder.
	Label      = "io.github.docker-kasm.lock"
	labelRun   = Label + ".run"
	labelOwner = Label + ".owner"
	labelPlace = Label + ".place"
	labelNote  = Label + ".note"
	prefix     = "docker-kasm.lock."
)

const (
	// Lease is how long a lock is held without being renewed.
	Lease = time.Minute
	renew = Lease / 4
	// look is how often a waiter looks again.
	look = 250 * time.Millisecond
)

// Lister is what is asked of the engine to look at locks.
type Lister interface {
	engine.InfoClient
	VolumeList(ctx context.Context, options volume.ListOptions) (volume.ListResponse, error)
}

// API is what is asked of the engine.
type API interface {
	Lister
	VolumeCreate(ctx context.Context, options volume.CreateOptions) (volume.Volume, error)
	VolumeRemove(ctx context.Context, volumeID string, force bool) error
}

// Holder tells who has a lock.
type Holder struct {
	// Key is what is locked: a container's id, or something else whose key begins
	// with a dot, as no container's does.
	Key string
	// Run is the random id of what the lock is held for.
	Run string
	// Owner is for people: a user and a machine.
	Owner string
	// Place tells processes apart that share a folder of lock files.
	Place string
	// Note is the holder's own, for whoever has to take over.
	Note string
	// Since is when the lock was last renewed.
	Since time.Time
	// Dead is set when the lock has not been renewed for Lease.
	Dead bool
	// Generation counts the volumes that were made for it.
	Generation int
}

// BusyError says that a lock is held by another.
type BusyError struct{ Holder Holder }

func (e *BusyError) Error() string { return "held by " + e.Holder.Owner }

// ErrLost is the cause a lock's context is cancelled with when it could not be
// renewed in time and another has taken it.
var ErrLost = errors.New("the lock was lost: it could not be renewed in time")

// Options say how a lock is taken.
type Options struct {
	// NoWait fails with a *BusyError instead of waiting for the holder.
	NoWait bool
	// Waiting is told once whom is waited for.
	Waiting func(Holder)
	// Gone reports, from other evidence than time, that a holder is dead.
	Gone func(Holder) bool
	// Recover tidies up after a dead holder, before its lock is taken.
	Recover func(context.Context, Holder) error
}

// Lock is a lock that is held.
type Lock struct {
	api API
	// mu guards me, which changes as the lock is renewed.
	mu sync.Mutex
	me Holder
	// run is me.Run, dead are those it was taken over from.
	run  string
	dead []Holder
	// renewed is when that was last done, by this machine's clock.
	renewed time.Time
	// cancel ends the context that the lock is held under.
	cancel context.CancelCauseFunc
	// ended is closed when the lock is renewed no more.
	ended chan struct{}
	stop  context.CancelFunc
}

// Take takes the lock me.Key, waiting for it unless o says otherwise. The
// returned context ends with ErrLost should the lock be lost.
func Take(ctx context.Context, api API, me Holder, o Options) (*Lock, context.Context, error) {
	waiting := false
	for {
		others, err := List(ctx, api, me.Key)
		if err != nil {
			return nil, ctx, err
		}
		var dead []Holder
		var alive *Holder
		for _, h := range others {
			if h.Dead || o.Gone != nil && o.Gone(h) {
				dead = append(dead, h)
			} else {
				alive = &h
			}
		}
		if alive == nil {
			l, held, err := claim(ctx, api, me, dead, o)
			if err != nil {
				return nil, ctx, err
			}
			if l != nil {
				return l, held, nil
			}
		} else {
			if o.NoWait {
				return nil, ctx, &BusyError{Holder: *alive}
			}
			if !waiting && o.Waiting != nil {
				o.Waiting(*alive)
			}
			waiting = true
		}
		// Two that back off from each other must not meet again.
		timer := time.NewTimer(look/2 + rand.N(look)) //nolint:gosec // no secret
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// claim makes the next volume and looks whether it stands alone, but for those
// of the dead. It returns nil when another was faster, or may have been.
func claim(ctx context.Context, api API, me Holder, dead []Holder, o Options) (*Lock, context.Context, error) {
	me.Generation = 1
	for _, h := range dead {
		me.Generation = max(me.Generation, h.Generation+1)
	}
	mine, err := create(ctx, api, &me)
	if err != nil || !mine {
		return nil, ctx, err
	}
	// From here on the volume goes again, whatever happens. It is renewed at
	// once: tidying up after the dead can take longer than the lease.
	l := &Lock{api: api, me: me, run: me.Run, dead: dead}
	held := l.keep(ctx)
	err = context.Cause(ctx)
	var others []Holder
	if err == nil {
		others, err = list(ctx, api, me.Key)
	}
	if slices.ContainsFunc(others, l.rivals) {
		return nil, ctx, l.Release(ctx)
	}
	for _, h := range dead {
		if err == nil && o.Recover != nil {
			err = o.Recover(held, h)
		}
		if err == nil {
			err = remove(held, api, h)
		}
	}
	if err == nil {
		err = context.Cause(held)
	}
	if err != nil {
		return nil, ctx, errors.Join(err, l.Release(ctx))
	}
	return l, held, nil
}

// rivals tells whether h is another holder, and none that l took over from: one
// of those that has renewed its lock since is alive after all.
func (l *Lock) rivals(h Holder) bool {
	return h.Run != l.run && !slices.ContainsFunc(l.dead, func(d Holder) bool { return d.Run == h.Run && d.Generation >= h.Generation })
}

// Holder tells who holds the lock, and since when.
func (l *Lock) Holder() Holder {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.me
}

// Note renews the lock with another note.
func (l *Lock) Note(ctx context.Context, note string) error {
	lost, err := l.renew(ctx, func(h *Holder) { h.Note = note })
	if lost {
		l.cancel(ErrLost)
		return ErrLost
	}
	return err
}

// keep renews the lock until it is released.
func (l *Lock) keep(ctx context.Context) context.Context {
	held, cancel := context.WithCancelCause(ctx)
	// An interrupt is no reason to lose the lock while things are tidied up.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel, l.stop, l.ended = cancel, stop, make(chan struct{})
	l.renewed = wall()
	go func() {
		defer close(l.ended)
		ticker := time.NewTicker(renew)
		defer ticker.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-ticker.C:
			}
			// An engine that does not answer has not given the lock to another
			// either. A request under way is seen to its end, so that no volume
			// is made after the lock was released.
			lost := l.shared(context.WithoutCancel(ctx))
			if !lost {
				lost, _ = l.renew(context.WithoutCancel(ctx), func(*Holder) {})
			}
			if lost {
				cancel(ErrLost)
				return
			}
		}
	}()
	return held
}

// wall is the time by a clock that goes on while the machine sleeps.
func wall() time.Time { return time.Now().Round(0) }

// shared tells whether another holds the lock as well, since `docker volume
// prune` removes locks, too, or has held it while this machine slept.
func (l *Lock) shared(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, renew)
	defer cancel()
	l.mu.Lock()
	key, asleep := l.me.Key, wall().Sub(l.renewed) > Lease
	l.mu.Unlock()
	all, err := list(ctx, l.api, key)
	if err != nil {
		return false // it is asked again before the next renewal
	}
	mine := slices.ContainsFunc(all, func(h Holder) bool { return h.Run == l.run })
	rivals := slices.DeleteFunc(all, func(h Holder) bool { return !l.rivals(h) })
	if age(ctx, l.api, rivals) != nil {
		return false
	}
	return asleep && !mine || slices.ContainsFunc(rivals, func(h Holder) bool { return !h.Dead })
}

// renew makes the next volume, with what has changed, and removes the last.
func (l *Lock) renew(ctx context.Context, change func(*Holder)) (lost bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, Lease)
	defer cancel()
	next := l.me
	next.Generation++
	change(&next)
	mine, err := create(ctx, l.api, &next)
	if err != nil {
		return false, err
	}
	if !mine {
		return true, nil
	}
	// Should this fail, Release does it.
	_ = remove(ctx, l.api, l.me)
	l.me, l.renewed = next, wall()
	return false, nil
}

// Release gives the lock back. It works after an interrupt too.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	<-l.ended
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Lease)
	defer cancel()
	return Remove(ctx, l.api, l.me)
}

// create makes the volume of h and returns whether it is h's. An engine that is
// killed as it makes one can forget the labels: such a volume is nobody's, the
// next one is made instead, and it goes then. An interrupt does not keep an
// engine from making a volume, so the answer is awaited all the same.
func create(ctx context.Context, api API, h *Holder) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Lease/2)
	defer cancel()
	for nobodys := []string{}; ; h.Generation++ {
		v, err := api.VolumeCreate(ctx, volume.CreateOptions{Name: h.Volume(), Labels: map[string]string{
			Label: h.Key, labelRun: h.Run, labelOwner: h.Owner, labelPlace: h.Place, labelNote: h.Note,
		}})
		if err != nil {
			return false, fmt.Errorf("lock %s on the engine: %w", h.Key, err)
		}
		if v.Labels[Label] == "" && len(nobodys) < maxNobodys {
			nobodys = append(nobodys, v.Name)
			continue
		}
		made, ok := holder(&v)
		h.Since = made.Since
		if !ok {
			return false, fmt.Errorf("lock %s on the engine: volume %s is in the way: remove it with `docker volume rm %s`", h.Key, h.Volume(), h.Volume())
		}
		if made.Run != h.Run {
			return false, nil
		}
		if made.Note != h.Note {
			continue // made by a request whose answer was lost; it goes with the lock
		}
		for _, name := range nobodys {
			// Should this fail, it is passed over the next time as well.
			_ = api.VolumeRemove(ctx, name, true)
		}
		return true, nil
	}
}

// maxNobodys is how many volumes without labels are passed over.
const maxNobodys = 10

// Remove gives a lock back, with every volume that the holder made for it. A
// holder without a key gives back all that its run holds.
func Remove(ctx context.Context, api API, h Holder) error {
	all, err := list(ctx, api, h.Key)
	errs := []error{err}
	for _, other := range all {
		if other.Run == h.Run {
			errs = append(errs, remove(ctx, api, other))
		}
	}
	return errors.Join(errs...)
}

func remove(ctx context.Context, api API, h Holder) error {
	if err := api.VolumeRemove(ctx, h.Volume(), true); err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("unlock %s on the engine: %w; remove the lock with `docker volume rm %s`", h.Key, err, h.Volume())
	}
	return nil
}

// Volume is the name of the volume that the lock is.
func (h Holder) Volume() string { return prefix + h.Key + "." + strconv.Itoa(h.Generation) }

// HeldBy returns the holder of the lock of a key among several, unless it is dead.
func HeldBy(holders []Holder, key string) (by Holder, held bool) {
	i := slices.IndexFunc(holders, func(h Holder) bool { return h.Key == key && !h.Dead })
	if i < 0 {
		return Holder{}, false
	}
	return holders[i], true
}

// List returns the holders of the lock of a key, "" for the locks of all
// containers but those in but. A key that begins with a dot is of something else.
func List(ctx context.Context, api Lister, key string, but ...string) ([]Holder, error) {
	out, err := list(ctx, api, key)
	if err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(h Holder) bool {
		return slices.Contains(but, h.Key) || key == "" && strings.HasPrefix(h.Key, ".")
	})
	if err := age(ctx, api, out); err != nil {
		return nil, err
	}
	return out, nil
}

// list is List without telling who is dead.
func list(ctx context.Context, api Lister, key string) ([]Holder, error) {
	label := Label
	if key != "" {
		label += "=" + key
	}
	list, err := api.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label))})
	if err != nil {
		return nil, fmt.Errorf("look for locks on the engine: %w", err)
	}
	var out []Holder
	for _, v := range list.Volumes {
		if h, ok := holder(v); ok {
			out = append(out, h)
		}
	}
	return out, nil
}

// age sets Dead by the engine's time, which is asked for only if there are
// holders: that takes some engines longer than all the rest of a lock.
func age(ctx context.Context, api Lister, holders []Holder) error {
	if len(holders) == 0 {
		return nil
	}
	now, err := engine.Time(ctx, api)
	if err != nil {
		return err
	}
	for i := range holders {
		holders[i].Dead = now.Sub(holders[i].Since) > Lease
	}
	return nil
}

// holder reads a lock's volume. One that is not as we make them is no lock: its
// labels may be anybody's.
func holder(v *volume.Volume) (Holder, bool) {
	h := Holder{
		Key: v.Labels[Label], Run: v.Labels[labelRun], Owner: v.Labels[labelOwner], Place: v.Labels[labelPlace], Note: v.Labels[labelNote],
	}
	number, ok := strings.CutPrefix(v.Name, prefix+h.Key+".")
	if !ok {
		return Holder{}, false
	}
	var err error
	if h.Generation, err = strconv.Atoi(number); err != nil {
		return Holder{}, false
	}
	if h.Since, err = time.Parse(time.RFC3339, v.CreatedAt); err != nil {
		return Holder{}, false
	}
	return h, true
}
