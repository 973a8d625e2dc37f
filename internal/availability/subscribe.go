package availability

import "context"

// Change is a change of what is known of a workspace.
type Change struct {
	Name string
	// Old is the state before, "" for a workspace that is new.
	Old State
	// New has the state "" for a workspace that is gone.
	New Entry
}

type reader struct {
	changes chan Change
	stop    func() bool
}

// Subscribe returns every change of a state, a reason or an image from now on, in
// order. The channel is closed when ctx ends, and when its reader is more than
// buffer changes behind: it has missed some then, and has to subscribe anew and
// to read [Watcher.All] after that.
func (w *Watcher) Subscribe(ctx context.Context, buffer int) <-chan Change {
	r := &reader{changes: make(chan Change, max(1, buffer))}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readers[r] = struct{}{}
	r.stop = context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.drop(r)
	})
	return r.changes
}

func (w *Watcher) publish(change Change) {
	for r := range w.readers {
		select {
		case r.changes <- change:
		default:
			w.drop(r)
		}
	}
}

func (w *Watcher) drop(r *reader) {
	if _, ok := w.readers[r]; !ok {
		return
	}
	delete(w.readers, r)
	r.stop()
	close(r.changes)
}
