package task

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Spec says what task is wanted; the fields are those of Task.
type Spec struct {
	Kind, Subject, Key, Owner string
	// Request must not hold secrets: it is written to disk.
	Request json.RawMessage
	// Secrets are for the task's function. They are kept in memory only, until it
	// has ended.
	Secrets Secret[any]
}

// Submit queues a task. It is in the journal when Submit returns. ErrInvalid,
// ErrFull and ErrClosed are told apart.
func (s *Store) Submit(spec Spec) (Task, error) {
	t := Task{
		Kind: spec.Kind, Subject: spec.Subject, Key: spec.Key, Owner: spec.Owner,
		Request: spec.Request, State: Queued, WithSecrets: !spec.Secrets.IsZero(),
	}
	queued, release, err := s.promise()
	if err != nil {
		return Task{}, fmt.Errorf("start a task of kind %q: %w", spec.Kind, err)
	}
	defer release()
	t.Created, t.Queued = queued, queued
	if err := t.check(); err != nil {
		return Task{}, fmt.Errorf("start a task of kind %q: %w: %w", spec.Kind, ErrInvalid, err)
	}
	s.mu.Lock()
	known := s.kinds[t.Kind] != nil
	for t.ID = newID(); s.entries[t.ID] != nil; {
		t.ID = newID()
	}
	s.mu.Unlock()
	if !known {
		return Task{}, fmt.Errorf("start a task of kind %q: %w: this helper knows no such kind", spec.Kind, ErrInvalid)
	}
	if err := s.journal.save(t); err != nil {
		// What did not fail of it must not be run by the next helper.
		return Task{}, errors.Join(err, s.journal.remove(t.ID+taskExtension))
	}
	s.add(t, spec.Secrets)
	s.dispatch()
	return t.clone(), nil
}

// Retry queues a task again that has not come to its end, with the secrets given
// now. It goes on from its checkpoint. A task that is queued, runs or is done is
// refused with an ErrState.
func (s *Store) Retry(id string, secrets Secret[any]) (Task, error) {
	e, err := s.hold(id)
	if err != nil {
		return Task{}, err
	}
	defer s.dispatch()
	defer e.write.Unlock()
	switch e.task.State {
	case Queued, Running, Done:
		return Task{}, refuse("retry", e.task)
	case Failed, Cancelled, Interrupted, Waiting:
	}
	queued, release, err := s.promise()
	if err != nil {
		return Task{}, fmt.Errorf("retry task %s: %w", e.id, err)
	}
	defer release()
	err = s.change(e, func(t *Task) {
		t.State, t.Queued, t.Ended = Queued, queued, Task{}.Ended
		t.Step, t.Reason, t.WithSecrets = "", "", t.WithSecrets || !secrets.IsZero()
	})
	if err != nil {
		return Task{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.secrets = secrets // it cannot begin before write is unlocked
	return e.task.clone(), nil
}

// Cancel ends a task. One that runs is told to, and has ended only when its
// function returns; it may still come to be done. A task that has ended is
// refused with an ErrState.
func (s *Store) Cancel(id string) error {
	e, err := s.hold(id)
	if err != nil {
		return err
	}
	defer e.write.Unlock()
	switch e.task.State {
	case Queued:
		return s.end(e, Cancelled, "cancelled before it began")
	case Waiting:
		return s.end(e, Cancelled, "cancelled while it waited for credentials")
	case Running:
		e.run.cancel(ErrCancelled)
		return nil
	case Done, Failed, Cancelled, Interrupted:
	}
	return refuse("cancel", e.task)
}

// Remove deletes a task that has ended, and its log. Any other is refused with an
// ErrState.
func (s *Store) Remove(id string) error {
	e, err := s.hold(id)
	if err != nil {
		return err
	}
	defer e.write.Unlock()
	if !e.task.State.Ended() {
		return refuse("remove", e.task)
	}
	return s.drop(e)
}

// hold finds a task and keeps others from changing it.
func (s *Store) hold(id string) (*entry, error) {
	s.mu.Lock()
	e, err := s.find(id)
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, err
	}
	e.write.Lock()
	if e.gone {
		e.write.Unlock()
		return nil, &NotFoundError{ID: id}
	}
	return e, nil
}
