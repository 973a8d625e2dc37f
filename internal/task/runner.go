package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// promise keeps a place in the queue until release is called, and tells the time
// that the place is known by.
func (s *Store) promise() (queued time.Time, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return time.Time{}, nil, ErrClosed
	}
	if waiting := len(s.queue) + s.promised; waiting >= s.options.Queue {
		return time.Time{}, nil, fmt.Errorf("%w: %d do, try again when some have ended, see `docker kasm task ls`", ErrFull, waiting)
	}
	s.promised++
	return s.tick(), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.promised--
	}, nil
}

// dispatch begins all tasks whose turn it is: the first of each key, as long as
// there are places.
func (s *Store) dispatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started || s.stopping {
		return
	}
	s.queue = slices.DeleteFunc(s.queue, func(e *entry) bool {
		key := e.task.Key
		if s.places >= s.options.AtOnce || key != "" && s.keys[key] {
			return false
		}
		s.places++
		if key != "" {
			s.keys[key] = true
		}
		s.tasks.Go(func() {
			defer s.free(key) // a function can also end its goroutine
			s.execute(e)
		})
		return true
	})
}

// free gives the place of a task to the next.
func (s *Store) free(key string) {
	s.mu.Lock()
	s.places--
	delete(s.keys, key)
	s.mu.Unlock()
	s.dispatch()
	s.tidy()
}

// execute runs one attempt of a task.
func (s *Store) execute(e *entry) {
	r, do := s.begin(e)
	if r == nil {
		return
	}
	err := errNoAnswer
	defer func() { s.finish(r, err) }()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			r.append(Line{Level: Error, Message: fmt.Sprintf("%s\n%s", err, debug.Stack())}, true)
		}
	}()
	err = do(r.ctx, r)
}

var errNoAnswer = errors.New("it ended without an answer")

// begin journals that a task runs. It returns nil if it does not, because it was
// cancelled meanwhile, or cannot.
func (s *Store) begin(e *entry) (*Run, Func) {
	e.write.Lock()
	defer e.write.Unlock()
	s.mu.Lock()
	do, stopping := s.kinds[e.task.Kind], s.stopping
	r := &Run{store: s, entry: e, secrets: e.secrets}
	s.mu.Unlock()
	if e.task.State != Queued || stopping {
		return nil, nil
	}
	if do == nil {
		s.report(s.end(e, Failed, fmt.Sprintf("this helper knows no tasks of kind %s", e.task.Kind)))
		return nil, nil
	}
	err := s.change(e, func(t *Task) {
		t.State, t.Started, t.Step, t.Reason = Running, now(), "", ""
		t.Attempts++
	})
	if err != nil {
		s.report(s.end(e, Failed, err.Error()))
		return nil, nil
	}
	r.ctx, r.cancel = context.WithCancelCause(s.base)
	s.mu.Lock()
	e.run, e.progress.parts = r, nil
	s.mu.Unlock()
	if n := e.task.Attempts; n > 1 {
		r.append(Line{Level: Info, Message: fmt.Sprintf("attempt %d", n)}, true)
	}
	return r, do
}

// finish journals how an attempt ended.
func (s *Store) finish(r *Run, err error) {
	e := r.entry
	e.write.Lock()
	defer e.write.Unlock()
	if !s.part(r) {
		return
	}
	state, reason := r.outcome(err)
	s.report(s.end(e, state, reason))
	r.cancel(nil)
}

// part takes a task from an attempt that is over. It is unset if that was done
// before. It is called with write locked.
func (s *Store) part(r *Run) bool {
	r.mu.Lock()
	r.over = true // no line comes after that of the end
	r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.entry.run != r {
		return false
	}
	r.entry.run = nil
	return true
}

func (s *Store) report(err error) {
	if err != nil {
		s.options.Report(err)
	}
}
