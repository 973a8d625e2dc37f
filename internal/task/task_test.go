package task

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestInvalidTasksAreRefused(t *testing.T) {
	s := opened(t, Options{}, map[string]Func{"pull": newHeld().run})
	for name, spec := range map[string]Spec{
		"unknown kind":       {Kind: "push"},
		"kind of a path":     {Kind: "../x"},
		"control characters": {Kind: "pull", Subject: "a\x1b[2J"},
		"not UTF-8":          {Kind: "pull", Owner: "\xff"},
		"long key":           {Kind: "pull", Key: strings.Repeat("k", maxText+1)},
		"no JSON":            {Kind: "pull", Request: json.RawMessage("{")},
		"large request":      {Kind: "pull", Request: json.RawMessage(`"` + strings.Repeat("r", maxRequest) + `"`)},
	} {
		if _, err := s.Submit(spec); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := s.List(Filter{}); len(list) > 0 {
		t.Errorf("%v are there", list)
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		s := opened(t, Options{AtOnce: 1}, map[string]Func{"pull": func(ctx context.Context, r *Run) error {
			if err := r.Step("fetch"); err != nil {
				return err
			}
			<-ctx.Done()
			cause = context.Cause(ctx)
			if r.Task().Subject == "through" {
				return nil
			}
			return ctx.Err()
		}})
		running, queued, through := submit(t, s, Spec{Kind: "pull"}), submit(t, s, Spec{Kind: "pull"}), submit(t, s, Spec{Kind: "pull", Subject: "through"})
		synctest.Wait()
		for _, id := range []string{queued.ID, running.ID} {
			if err := s.Cancel(id); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if !errors.Is(cause, ErrCancelled) {
			t.Errorf("the cause is %v", cause)
		}
		if got := wantState(t, s, running.ID, Cancelled); got.Reason != "cancelled in step fetch" || got.Ended.IsZero() {
			t.Errorf("%+v", got)
		}
		if got := wantState(t, s, queued.ID, Cancelled); got.Attempts != 0 || got.Ended.IsZero() {
			t.Errorf("%+v", got)
		}
		// What is seen through in spite of it is done.
		if err := s.Cancel(through.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantState(t, s, through.ID, Done)
	})
}

func TestRetryGoesOnFromTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := Options{Dir: t.TempDir()}
		var seen []string
		kinds := map[string]Func{"snapshot": func(_ context.Context, r *Run) error {
			from := string(r.Task().Checkpoint)
			seen = append(seen, from+r.Secrets().Reveal().(string))
			if from != "" {
				return r.SetResult(json.RawMessage(`{"Image": "new"}`))
			}
			return errors.Join(r.Step("push"), r.SetResult(json.RawMessage(`"old"`)), r.Checkpoint(json.RawMessage(`{ "Image": 1 }`)), errors.New("registry\nis\x1bdown"))
		}}
		s := opened(t, options, kinds)
		id := submit(t, s, Spec{Kind: "snapshot", Request: json.RawMessage(`{"a":"<&>"}`), Secrets: Hide[any]("one")}).ID
		synctest.Wait()
		got := wantState(t, s, id, Failed)
		if got.Reason != "registry; is down" || got.Step != "push" || string(got.Result) != `"old"` {
			t.Errorf("%+v", got)
		}
		shut(t, s)
		s = opened(t, options, kinds) // a checkpoint outlives the helper
		if again := get(t, s, id); again.Reason != got.Reason || string(again.Request) != `{"a":"<&>"}` || !again.Created.Equal(got.Created) {
			t.Errorf("%+v", again)
		}
		if _, err := s.Retry(id[:6], Hide[any]("two")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got = wantState(t, s, id, Done)
		if got.Attempts != 2 || got.Reason != "" || got.Step != "" || string(got.Result) != `{"Image":"new"}` {
			t.Errorf("%+v", got)
		}
		if want := []string{"one", `{"Image":1}two`}; !slices.Equal(seen, want) {
			t.Errorf("attempts saw %q, want %q", seen, want)
		}
	})
}

func TestTasksWaitForSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := Options{Dir: t.TempDir()}
		s := opened(t, options, nil)
		var got []any
		do := func(_ context.Context, r *Run) error {
			got = append(got, r.Secrets().Reveal())
			if r.Secrets().IsZero() {
				return errors.Join(errors.New("pull x"), ErrNeedsSecrets)
			}
			return nil
		}
		s.Register("pull", do)
		with := submit(t, s, Spec{Kind: "pull", Secrets: Hide[any]("pw")}).ID
		without := submit(t, s, Spec{Kind: "pull"}).ID
		shut(t, s)

		s = opened(t, options, nil)
		wantState(t, s, without, Queued)
		if w := wantState(t, s, with, Waiting); !strings.Contains(w.Reason, "task retry "+with) || !w.Ended.IsZero() {
			t.Errorf("%+v", w)
		}
		s.Register("pull", do)
		s.Start(t.Context())
		synctest.Wait()
		if w := wantState(t, s, without, Waiting); !strings.Contains(w.Reason, "credentials are needed") {
			t.Errorf("%+v", w)
		}
		for _, id := range []string{with, without} {
			if _, err := s.Retry(id, Hide[any](id)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			wantState(t, s, id, Done)
		}
		if want := []any{nil, with, without}; !slices.Equal(got, want) {
			t.Errorf("the function got %v, want %v", got, want)
		}
		for _, e := range s.entries {
			if !e.secrets.IsZero() {
				t.Error("the secrets of a task that has ended are kept")
			}
		}
	})
}

func TestRefusalsNameTheStateAndWhatWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		s := opened(t, Options{AtOnce: 1}, map[string]Func{"pull": h.run, "fail": func(context.Context, *Run) error { return errors.New("x") }})
		ids := map[State]string{}
		ids[Done] = submit(t, s, Spec{Kind: "pull"}).ID
		h.answer <- nil
		ids[Failed] = submit(t, s, Spec{Kind: "fail"}).ID
		ids[Waiting] = submit(t, s, Spec{Kind: "pull"}).ID
		h.answer <- ErrNeedsSecrets
		synctest.Wait()
		ids[Running], ids[Queued] = submit(t, s, Spec{Kind: "pull"}).ID, submit(t, s, Spec{Kind: "pull"}).ID
		synctest.Wait()
		for _, c := range []struct {
			verb  string
			state State
			hint  string
		}{
			{"cancel", Done, "nothing is left"}, {"cancel", Failed, "task rm"},
			{"retry", Queued, "by itself"}, {"retry", Running, "task cancel"}, {"retry", Done, "start a new one"},
			{"remove", Queued, "task cancel"}, {"remove", Running, "task cancel"}, {"remove", Waiting, "task cancel"},
		} {
			id := ids[c.state]
			wantState(t, s, id, c.state)
			var err error
			switch c.verb {
			case "cancel":
				err = s.Cancel(id)
			case "retry":
				_, err = s.Retry(id, Secret[any]{})
			case "remove":
				err = s.Remove(id)
			}
			var refusal *StateError
			if !errors.Is(err, ErrState) || !errors.As(err, &refusal) || refusal.State != c.state || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("%s %s: %v", c.verb, c.state, err)
			}
		}
	})
}
