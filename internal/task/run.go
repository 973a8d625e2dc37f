package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Run is one attempt at a task, as its function sees it. Its methods may be
// called at the same time; after the function has returned they do nothing.
type Run struct {
	store   *Store
	entry   *entry
	secrets Secret[any]
	ctx     context.Context
	cancel  context.CancelCauseFunc

	// mu keeps a line from coming after the end.
	mu        sync.Mutex
	over      bool
	logFailed bool
}

// errOver is the answer to an attempt that goes on after its end.
var errOver = errors.New("this attempt of the task is over")

// Task returns the task as it is now. Its Checkpoint and Result are those of an
// earlier attempt until this one sets its own.
func (r *Run) Task() Task {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return r.entry.task.clone()
}

// Secrets returns what Submit or Retry was given for this attempt, zero if
// nothing was.
func (r *Run) Secrets() Secret[any] { return r.secrets }

// Step journals that a step begins, before it does: a helper that dies after
// Step has returned is known to have died in that step. On an error the step
// must not begin. The context is not looked at.
func (r *Run) Step(name string) error {
	if name == "" {
		return errors.New("begin a step of a task: it has no name")
	}
	if err := checkText("a step", name); err != nil {
		return err
	}
	if err := r.change(func(t *Task) { t.Step = name }); err != nil {
		return fmt.Errorf("begin step %s: %w", name, err)
	}
	r.append(Line{Level: Begins}, true)
	return nil
}

// Log adds a line to the task's log. Long messages are cut, and what does not fit
// into the log is dropped, which the log says.
func (r *Run) Log(level Level, message string) {
	switch level {
	case Info, Warning, Error:
	default:
		level = Info
	}
	r.append(Line{Level: level, Message: message}, false)
}

// Progress tells followers how far a part of the step has come, such as a layer.
// Only the last of each part is kept, in memory; a follower that comes later
// gets it too. At most 256 parts of 16 KiB of JSON are kept.
func (r *Run) Progress(part string, data json.RawMessage) {
	s, e := r.store, r.entry
	if len(part) > maxText || len(data) > maxProgress || !json.Valid(data) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.run == r && e.progress.set(part, Line{Time: now(), Step: e.task.Step, Level: Progress, Part: part, Progress: append(json.RawMessage(nil), data...)}) {
		e.wake()
	}
}

// SetResult journals what has come of the task so far: JSON of 1 MiB at most. It
// stays if the task fails.
func (r *Run) SetResult(data json.RawMessage) error {
	data, err := compact("the result", data, maxData)
	if err != nil {
		return err
	}
	return r.change(func(t *Task) { t.Result = data })
}

// Checkpoint journals from where a later attempt can go on, which it finds in
// Task: JSON of 1 MiB at most, without secrets.
func (r *Run) Checkpoint(data json.RawMessage) error {
	data, err := compact("the checkpoint", data, maxData)
	if err != nil {
		return err
	}
	return r.change(func(t *Task) { t.Checkpoint = data })
}

func (r *Run) change(do func(*Task)) error {
	r.entry.write.Lock()
	defer r.entry.write.Unlock()
	if r.entry.run != r {
		return errOver
	}
	return r.store.change(r.entry, do)
}

func (r *Run) append(line Line, own bool) {
	s, e := r.store, r.entry
	s.mu.Lock()
	line.Time, line.Step = now(), e.task.Step
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	if err := e.log.append(line, own); err != nil {
		if !r.logFailed { // the next lines fail as well
			s.report(fmt.Errorf("write the log of task %s: %w", e.id, err))
		}
		r.logFailed = true
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.wake()
}

// outcome tells what a function's answer makes of its task.
func (r *Run) outcome(err error) (State, string) {
	cause := context.Cause(r.ctx)
	switch {
	case err == nil:
		return Done, ""
	case errors.Is(cause, ErrCancelled):
		return Cancelled, because("cancelled", r.entry.task.Step, err)
	case errors.Is(cause, ErrShutdown):
		return Interrupted, because("the helper was shut down", r.entry.task.Step, err)
	case errors.Is(err, ErrNeedsSecrets):
		return Waiting, err.Error() + ": " + retryHint(r.entry.id)
	}
	return Failed, err.Error()
}

// because names the step, and the error if it says more than that it was told
// to end.
func because(what, step string, err error) string {
	what += " " + where(step)
	switch err { //nolint:errorlint // one that wraps them says more
	case context.Canceled, ErrCancelled, ErrShutdown:
		return what
	}
	return what + ": " + err.Error()
}
