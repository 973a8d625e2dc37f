package snapshot

import (
	"context"
	"errors"

	"github.com/docker-kasm/docker-kasm/internal/leftover"
	"github.com/docker-kasm/docker-kasm/internal/lock"
)

// Recover tidies up after all snapshots that were made with this pipeline's
// LockDir, by a process that is known to run no more: sessions that they have
// paused are resumed, and what they left is removed, the locks among it.
func (p *Pipeline) Recover(ctx context.Context) error {
	id, err := newID()
	if err != nil {
		return err
	}
	j := &job{Pipeline: p, id: id, plan: &plan{}}
	leftover.Remove(p.LockDir, "place")
	me := j.holder("")
	var errs []error
	// The names' last: while a session is tidied up after, the engine comes to
	// what it was asked for in the end.
	for _, key := range []string{"", namesKey} {
		held, err := lock.List(ctx, p.API, key)
		errs = append(errs, err)
		for _, h := range held {
			if me.Place == "" || h.Place != me.Place || h.Owner != me.Owner {
				continue
			}
			_, taken, err := j.take(ctx, h.Key, true, func(string) {})
			if err == nil {
				err = taken.release()
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
