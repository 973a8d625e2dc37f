package task

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestTasksWaitForAPlaceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		s := opened(t, Options{AtOnce: 1}, map[string]Func{"pull": h.run})
		want := []string{"a", "b", "c", "d"}
		for _, subject := range want {
			submit(t, s, Spec{Kind: "pull", Subject: subject})
			synctest.Wait()
		}
		for i := range want {
			if got := len(h.began); got != i+1 {
				t.Fatalf("%d tasks began, want %d", got, i+1)
			}
			h.answer <- nil
			synctest.Wait()
		}
		if !slices.Equal(h.began, want) || h.most != 1 {
			t.Errorf("began %v, %d at once", h.began, h.most)
		}
		for _, task := range s.List(Filter{}) {
			if task.State != Done || task.Ended.IsZero() || task.Started.IsZero() || task.Attempts != 1 {
				t.Errorf("%+v is not done", task)
			}
		}
	})
}

func TestOneTaskRunsForEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, answers := map[string]bool{}, map[string]chan error{}
		for _, subject := range []string{"a1", "a2", "a3", "b1", "free1", "free2"} {
			answers[subject] = make(chan error)
		}
		s := opened(t, Options{AtOnce: 4}, nil)
		s.Register("pull", func(_ context.Context, r *Run) error {
			s.mu.Lock()
			began[r.entry.task.Subject] = true // several may be here at once
			s.mu.Unlock()
			return <-answers[r.Task().Subject]
		})
		for _, subject := range []string{"a1", "a2", "a3", "b1", "free1", "free2"} {
			key := strings.Trim(subject, "123")
			if key == "free" {
				key = ""
			}
			submit(t, s, Spec{Kind: "pull", Subject: subject, Key: key})
		}
		s.Start(t.Context())
		for _, step := range []struct{ end, want string }{
			{"", "a1 b1 free1 free2"},
			{"free1", "a1 b1 free1 free2"}, // a place, but the key is not free
			{"a1", "a1 a2 b1 free1 free2"},
			{"b1", "a1 a2 b1 free1 free2"},
			{"a2", "a1 a2 a3 b1 free1 free2"},
		} {
			if step.end != "" {
				answers[step.end] <- nil
			}
			synctest.Wait()
			var got []string
			for subject := range began {
				got = append(got, subject)
			}
			slices.Sort(got)
			if strings.Join(got, " ") != step.want {
				t.Fatalf("after the end of %q: %v began, want %s", step.end, got, step.want)
			}
		}
		answers["a3"] <- nil
		answers["free2"] <- nil
	})
}

func TestTooManyQueuedAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		s := opened(t, Options{AtOnce: 1, Queue: 2}, map[string]Func{"pull": h.run})
		first := submit(t, s, Spec{Kind: "pull"})
		synctest.Wait()
		if err := s.Cancel(first.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 3 {
			submit(t, s, Spec{Kind: "pull"})
			synctest.Wait()
		}
		if _, err := s.Submit(Spec{Kind: "pull"}); !errors.Is(err, ErrFull) {
			t.Errorf("submit: %v", err)
		}
		if _, err := s.Retry(first.ID, Secret[any]{}); !errors.Is(err, ErrFull) {
			t.Errorf("retry: %v", err)
		}
		wantState(t, s, first.ID, Cancelled)
		h.answer <- nil
		synctest.Wait()
		submit(t, s, Spec{Kind: "pull"})
	})
}

func TestOrderOutlivesTheHelper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := Options{Dir: t.TempDir(), AtOnce: 1}
		h := newHeld()
		s := opened(t, options, nil)
		s.Register("pull", h.run)
		want := strings.Split("abcdefghijkl", "")
		for _, subject := range want { // all at the same time of the clock
			submit(t, s, Spec{Kind: "pull", Subject: subject})
		}
		shut(t, s)
		s = opened(t, options, map[string]Func{"pull": h.run})
		for range want {
			h.answer <- nil
			synctest.Wait()
		}
		if !slices.Equal(h.began, want) {
			t.Errorf("began %v", h.began)
		}
		shut(t, s)
	})
}
