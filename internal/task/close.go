package task

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Close lets no more tasks begin, and waits for those that run until ctx has
// ended. Then they are interrupted: their contexts end with ErrShutdown, and
// those that have not returned after Options.Grace are left alone. What is queued
// stays so for the next start. Nothing is written any more once Close returns.
func (s *Store) Close(ctx context.Context) error {
	s.once.Do(func() { s.closeErr = s.close(ctx) })
	return s.closeErr
}

func (s *Store) close(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		s.halt()
		select {
		case <-idle:
		case <-s.hopeless:
			s.abandon()
		case <-time.After(s.options.Grace):
			s.abandon()
		}
	}
	close(s.stop)
	s.house.Wait()
	err := s.save()
	s.mu.Lock()
	s.closed = true
	for _, e := range s.entries {
		e.wake()
	}
	for sub := range s.subscribers {
		sub.tell()
	}
	s.mu.Unlock()
	s.halt() // frees what the contexts hold
	return errors.Join(err, s.journal.close())
}

// GiveUp has Close wait no longer than now for tasks that it has interrupted: what
// they need to come to an end is gone.
func (s *Store) GiveUp() { s.giveUp.Do(func() { close(s.hopeless) }) }

// halt interrupts all tasks that run, and lets none begin.
func (s *Store) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.interrupt != nil {
		s.interrupt(ErrShutdown)
	}
}

// abandon gives up waiting for functions that do not return.
func (s *Store) abandon() {
	for _, e := range s.all(func(e *entry) bool { return e.run != nil }) {
		e.write.Lock()
		if r := e.run; r != nil && s.part(r) {
			s.report(s.end(e, Interrupted, "the helper was shut down "+where(e.task.Step)+" and did not wait for it any longer"))
		}
		e.write.Unlock()
	}
}

func (s *Store) all(choose func(*entry) bool) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*entry
	for _, e := range s.entries {
		if choose(e) {
			list = append(list, e)
		}
	}
	return list
}

// keepHouse tidies now and then, and sees that ctx ends the tasks.
func (s *Store) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	ended := ctx.Done()
	for {
		select {
		case <-s.stop:
			return
		case <-ended:
			ended = nil
			s.halt()
		case <-tick.C:
			s.tidy()
		}
	}
}

// tidy removes old tasks, and writes what could not be written before.
func (s *Store) tidy() {
	s.report(s.save())
	for e, ended := range s.old() {
		e.write.Lock()
		if e.task.Ended.Equal(ended) && !e.gone { // else it was tried again
			s.report(s.drop(e))
		}
		e.write.Unlock()
	}
}

// old returns the ended tasks that are too old, or too many, and when they ended.
func (s *Store) old() map[*entry]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ended []*entry
	for _, e := range s.entries {
		if e.task.State.Ended() {
			ended = append(ended, e)
		}
	}
	slices.SortFunc(ended, func(a, b *entry) int { return b.task.Ended.Compare(a.task.Ended) })
	before := now().Add(-s.options.KeepFor)
	old := map[*entry]time.Time{}
	for i, e := range ended {
		if i >= s.options.Keep || e.task.Ended.Before(before) {
			old[e] = e.task.Ended
		}
	}
	return old
}

// save tries again to write what could not be written.
func (s *Store) save() error {
	var errs []error
	for _, e := range s.all(func(e *entry) bool { return e.unsaved }) {
		e.write.Lock()
		if e.unsaved && !e.gone {
			errs = append(errs, s.change(e, func(*Task) {}))
		}
		e.write.Unlock()
	}
	return errors.Join(errs...)
}
