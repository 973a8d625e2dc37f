package snapshot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/gofrs/flock"
	"github.com/moby/sys/atomicwriter"

	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// lock lets one snapshot of a container happen at a time on an engine: two
// concurrent commits would resume each other's session while its files are
// copied.
func (j *job) lock(ctx context.Context) (context.Context, error) {
	name := j.plan.session.Name
	j.note = note{state: j.plan.session.State}
	// The guard is there before the lock, so that no moment is left in which a
	// kill, or an engine that goes away, would leave that behind.
	if j.Guard != nil {
		j.guard = j.Guard(j.holder(j.plan.session.ID))
	}
	held, taken, err := j.take(ctx, j.plan.session.ID, j.req.NoWait, func(owner string) {
		j.info("another snapshot of %s is under way%s: waiting for it", name, owner)
	})
	var busy *lock.BusyError
	if errors.As(err, &busy) {
		return ctx, fmt.Errorf("another snapshot of session %q is under way, %w: wait for it, or leave --no-wait out", name, err)
	}
	if err != nil {
		return ctx, err
	}
	j.held, j.onEngine, j.release = taken.Holder(), taken.Lock, taken.release
	if j.guard != nil {
		j.guard.Held(j.held)
	}
	j.clock = startClock(held, j.API)
	if err := j.lookAgain(held); err != nil {
		return held, err
	}
	j.tidyAfterGone(held)
	return held, nil
}

// lookAgain sees what the session is doing now that nobody else makes a snapshot
// of it: before, one may have held it still.
func (j *job) lookAgain(ctx context.Context) error {
	p := j.plan
	c, err := j.API.ContainerInspect(ctx, p.session.ID)
	if cerrdefs.IsNotFound(err) {
		return fmt.Errorf("session %q was deleted meanwhile, by another command: no image was made by this one", p.session.Name)
	}
	if err != nil {
		return fmt.Errorf("inspect session %q: %w", p.session.Name, err)
	}
	p.container, p.session.State = c, session.StateOf(c.State)
	return p.session.Check(session.Commit)
}

// tidyAfterGone tidies up after dead snapshots of sessions that are gone: no
// other snapshot of theirs will.
func (j *job) tidyAfterGone(ctx context.Context) {
	// Engines whose locks cannot be read are found out when ours is taken.
	all, _ := lock.List(ctx, j.API, "", j.plan.session.ID)
	for _, h := range all {
		if !h.Dead {
			continue
		}
		if _, err := j.API.ContainerInspect(ctx, h.Key); !cerrdefs.IsNotFound(err) {
			continue
		}
		_, taken, err := j.take(ctx, h.Key, true, func(string) {})
		if err == nil {
			err = taken.release()
			j.moreHeld = j.moreHeld || err != nil
		}
		var busy *lock.BusyError
		if err != nil && ctx.Err() == nil && !errors.As(err, &busy) {
			j.warn("tidy up after a snapshot that was killed: %s", err)
		}
	}
}

// namesKey is the key of the lock under which images get their names.
const namesKey = ".names"

// taken is a lock that is held in both ways.
type taken struct {
	*lock.Lock
	release func() error
}

// take takes the lock of a key: first a file that this user's processes on this
// machine share, then the engine's. The file tells at once, and not after the
// lease, that a process which held the engine's was killed.
func (j *job) take(ctx context.Context, key string, noWait bool, waiting func(owner string)) (context.Context, taken, error) {
	me := j.holder(key)
	file, err := j.lockFile(ctx, key, noWait, waiting)
	if err != nil {
		return ctx, taken{}, err
	}
	onEngine, held, err := lock.Take(ctx, j.API, me, lock.Options{
		NoWait:  noWait,
		Waiting: func(h lock.Holder) { waiting(" by " + h.Owner) },
		// A home folder that was copied to another machine has the same place.
		Gone: func(h lock.Holder) bool { return me.Place != "" && h.Place == me.Place && h.Owner == me.Owner },
		Recover: func(ctx context.Context, h lock.Holder) error {
			return Tidy(ctx, j.API, h, TidyOptions{
				Patience: patience, Unseen: lock.Lease, Late: Late, Report: func(text string) { j.info("after a snapshot that was killed: %s", text) },
			})
		},
	})
	if err != nil {
		return ctx, taken{}, errors.Join(err, file.Unlock())
	}
	return held, taken{onEngine, func() error { return errors.Join(onEngine.Release(ctx), file.Unlock()) }}, nil
}

// patience is how long a dead snapshot's commit is waited for, which the engine
// may still be at.
const patience = 10 * time.Minute

func (j *job) holder(key string) lock.Holder {
	h := lock.Holder{Key: key, Run: j.id, Place: place(j.LockDir), Note: note{state: j.plan.session.State}.String()}
	if u, err := user.Current(); err == nil {
		h.Owner = u.Username
	}
	if name, err := os.Hostname(); err == nil {
		h.Owner += "@" + name
	}
	return h
}

// place is a random name for a folder of lock files, the same for all processes
// that use it; "" where it cannot be kept.
func place(dir string) string {
	path := filepath.Join(dir, "place")
	if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
		return strings.TrimSpace(string(data))
	}
	name, err := newID()
	if err != nil || os.MkdirAll(dir, 0o700) != nil || atomicwriter.WriteFile(path, []byte(name+"\n"), 0o600) != nil {
		return ""
	}
	return name
}

func newID() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a random id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

func (j *job) lockFile(ctx context.Context, name string, noWait bool, waiting func(string)) (*flock.Flock, error) {
	if err := os.MkdirAll(j.LockDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for snapshot locks: %w", err)
	}
	path := filepath.Join(j.LockDir, name+".lock")
	file := flock.New(path, flock.SetPermissions(0o600))
	got, err := file.TryLock()
	if err == nil && !got {
		if noWait {
			return nil, &lock.BusyError{Holder: lock.Holder{Key: name, Owner: "you, on this machine"}}
		}
		waiting("")
		got, err = file.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), file.Unlock())
	}
	if err != nil || !got {
		return nil, fmt.Errorf("lock %s for a snapshot: %w", path, err)
	}
	// The file stays: removing it would let a waiter lock a file that a third
	// process no longer finds.
	return file, nil
}
