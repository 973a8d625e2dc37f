package task

import (
	"context"
	"testing"
)

// opened is a store on dir that knows the kinds, and is started unless they are
// nil.
func opened(t *testing.T, options Options, kinds map[string]Func) *Store {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	if options.Report == nil {
		options.Report = func(err error) { t.Errorf("reported: %v", err) }
	}
	s, bad, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range bad {
		t.Errorf("bad file: %v", err)
	}
	for kind, do := range kinds {
		s.Register(kind, do)
	}
	if kinds != nil {
		s.Start(t.Context())
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

// shut ends a store and what runs in it, at once.
func shut(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func submit(t *testing.T, s *Store, spec Spec) Task {
	t.Helper()
	got, err := s.Submit(spec)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func get(t *testing.T, s *Store, id string) Task {
	t.Helper()
	got, err := s.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantState(t *testing.T, s *Store, id string, want State) Task {
	t.Helper()
	got := get(t, s, id)
	if got.State != want {
		t.Fatalf("task %s is %s (%s), want %s", got.Subject, got.State, got.Reason, want)
	}
	return got
}

// held is a function that tells its subject as it begins and ends by an answer.
type held struct {
	began  []string
	most   int
	now    int
	answer chan error
}

func newHeld() *held { return &held{answer: make(chan error)} }

// run is only used where one goroutine at a time is not blocked.
func (h *held) run(ctx context.Context, r *Run) error {
	h.began = append(h.began, r.Task().Subject)
	h.now++
	h.most = max(h.most, h.now)
	defer func() { h.now-- }()
	select {
	case err := <-h.answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
