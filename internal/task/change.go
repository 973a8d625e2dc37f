package task

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// now is the time as the journal gives it back.
func now() time.Time { return time.Now().UTC().Round(0) }

// tick is now, but never twice the same: the order of the queue is told by it.
// It is called under mu.
func (s *Store) tick() time.Time {
	t := now()
	if !t.After(s.last) {
		t = s.last.Add(1)
	}
	s.last = t
	return t
}

// change journals what do makes of a task, and shows it then. It is called with
// write locked.
func (s *Store) change(e *entry, do func(*Task)) error { return s.update(e, false, do) }

// settle is change for what is so, whether it can be journalled or not: the
// housekeeper tries again.
func (s *Store) settle(e *entry, do func(*Task)) error { return s.update(e, true, do) }

func (s *Store) update(e *entry, anyway bool, do func(*Task)) error {
	if e.gone {
		return &NotFoundError{ID: e.id}
	}
	next := e.task.clone()
	do(&next)
	err := s.journal.save(next)
	if err != nil && !anyway {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.unsaved = err != nil
	s.show(e, next)
	return err
}

// show makes a task what all see. It is called under mu.
func (s *Store) show(e *entry, next Task) {
	was := e.task.State
	e.task = next
	switch {
	case was == Queued && next.State != Queued:
		s.queue = slices.DeleteFunc(s.queue, func(other *entry) bool { return other == e })
	case was != Queued && next.State == Queued:
		i, _ := slices.BinarySearchFunc(s.queue, e, func(a, b *entry) int { return a.task.Queued.Compare(b.task.Queued) })
		s.queue = slices.Insert(s.queue, i, e)
	}
	if next.State.Ended() || next.State == Waiting {
		e.secrets = Secret[any]{}
	}
	if next.State.Ended() && e.followers == 0 {
		e.progress.parts = nil
	}
	e.wake()
	s.publish(Event{Type: Changed, Task: next})
}

// wake tells followers to look again. It is called under mu.
func (e *entry) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// end brings a task to a state in which it does not run, and says so in its
// log, which comes first: who sees the end sees all of the log. It is called
// with write locked.
func (s *Store) end(e *entry, state State, reason string) error {
	line := Line{Time: now(), Step: e.task.Step, Level: Error, Message: reason}
	switch state {
	case Done:
		line.Level, line.Message = Info, string(Done)
	case Waiting, Cancelled, Interrupted:
		line.Level = Warning
	default:
	}
	err := errors.Join(e.log.append(line, true), e.log.close())
	if err != nil {
		err = fmt.Errorf("write the log of task %s: %w", e.id, err)
	}
	return errors.Join(err, s.settle(e, func(t *Task) {
		t.State, t.Reason = state, oneLine(reason)
		if state.Ended() {
			t.Ended = now()
		}
	}))
}

// drop removes a task that has ended. It is called with write locked.
func (s *Store) drop(e *entry) error {
	if err := s.journal.remove(e.id + taskExtension); err != nil {
		return fmt.Errorf("remove task %s: %w", e.id, err)
	}
	s.mu.Lock()
	e.gone = true
	delete(s.entries, e.id)
	e.wake()
	s.publish(Event{Type: Removed, Task: e.task})
	s.mu.Unlock()
	// Should this not be done, the next start of the helper does it.
	if err := s.journal.remove(e.id + logExtension); err != nil {
		return fmt.Errorf("remove the log of task %s: %w", e.id, err)
	}
	return nil
}

// where says in which step something was.
func where(step string) string {
	if step == "" {
		return "before the first step"
	}
	return "in step " + step
}

func retryHint(id string) string {
	return fmt.Sprintf("`docker kasm task retry %s` goes on with it", id)
}
