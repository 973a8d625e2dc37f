package task

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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

func TestCloseWaitsThenInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := Options{Dir: t.TempDir(), AtOnce: 3, Grace: 5 * time.Second}
		var cause error
		s := opened(t, options, map[string]Func{
			"quick": func(context.Context, *Run) error { time.Sleep(time.Second); return nil },
			"tidy": func(ctx context.Context, r *Run) error {
				err := r.Step("push")
				<-ctx.Done()
				cause = context.Cause(ctx)
				time.Sleep(time.Second)
				return errors.Join(err, errors.New("an image is left"))
			},
			"deaf": func(_ context.Context, r *Run) error {
				if err := r.Step("clean"); err != nil {
					return err
				}
				time.Sleep(time.Hour)
				r.Log(Info, "too late")
				if err := r.Step("verify"); !errors.Is(err, errOver) {
					t.Errorf("a step began after the end: %v", err)
				}
				return nil
			},
		})
		quick, tidy, deaf := submit(t, s, Spec{Kind: "quick"}).ID, submit(t, s, Spec{Kind: "tidy"}).ID, submit(t, s, Spec{Kind: "deaf"}).ID
		synctest.Wait()
		queued := submit(t, s, Spec{Kind: "quick"}).ID
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 15*time.Second {
			t.Errorf("it took %s", took)
		}
		if _, err := s.Submit(Spec{Kind: "quick"}); !errors.Is(err, ErrClosed) {
			t.Errorf("submit: %v", err)
		}
		if err := s.Cancel(queued); !errors.Is(err, ErrClosed) {
			t.Errorf("cancel: %v", err)
		}
		if !errors.Is(cause, ErrShutdown) {
			t.Errorf("the cause is %v", cause)
		}
		time.Sleep(2 * time.Hour) // the deaf one returns, and changes nothing
		s = opened(t, options, nil)
		wantState(t, s, quick, Done)
		wantState(t, s, queued, Queued)
		if got := wantState(t, s, tidy, Interrupted); got.Reason != "the helper was shut down in step push: an image is left" {
			t.Error(got.Reason)
		}
		if got := wantState(t, s, deaf, Interrupted); got.Step != "clean" || !strings.Contains(got.Reason, "in step clean") {
			t.Errorf("%+v", got)
		}
	})
}

func TestTheEndOfTheContextInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Options{AtOnce: 1}, nil)
		h := newHeld()
		s.Register("pull", h.run)
		ctx, cancel := context.WithCancel(t.Context())
		s.Start(ctx)
		running, queued := submit(t, s, Spec{Kind: "pull"}).ID, submit(t, s, Spec{Kind: "pull"}).ID
		synctest.Wait()
		cancel()
		synctest.Wait()
		wantState(t, s, running, Interrupted)
		wantState(t, s, queued, Queued)
	})
}

func TestPanicFailsTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Options{}, map[string]Func{
			"panic": func(context.Context, *Run) error { panic("no\nway") },
			"exit":  func(context.Context, *Run) error { runtime.Goexit(); return nil },
			"well":  func(context.Context, *Run) error { return nil },
		})
		panicked, exited := submit(t, s, Spec{Kind: "panic", Key: "k"}).ID, submit(t, s, Spec{Kind: "exit", Key: "k"}).ID
		well := submit(t, s, Spec{Kind: "well", Key: "k"}).ID
		synctest.Wait()
		if got := wantState(t, s, panicked, Failed); got.Reason != "panic: no; way" {
			t.Error(got.Reason)
		}
		if got := wantState(t, s, exited, Failed); got.Reason != errNoAnswer.Error() {
			t.Error(got.Reason)
		}
		wantState(t, s, well, Done)
		if log := logText(t, s, panicked); !strings.Contains(log, "task_test.go") {
			t.Errorf("the stack is not in the log:\n%s", log)
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

func TestIDsAreFoundByUniquePrefix(t *testing.T) {
	s := opened(t, Options{}, nil)
	for _, id := range []string{"aab000000000", "aabb00000000", "c00000000000"} {
		s.add(Task{ID: id, State: Done}, Secret[any]{})
	}
	for ref, want := range map[string]string{
		"aab0": "aab000000000", "c": "c00000000000", "aabb00000000": "aabb00000000",
		"":      "no id of a task was given",
		"aab":   `id "aab" is not unique: 2 tasks begin with it; give more digits`,
		"aabc":  `no task "aabc": did you mean aab000000000 or aabb00000000?`,
		"x\x1b": `no task "x\x1b": ` + "`docker kasm task ls -a` lists them all",
	} {
		got, err := s.Get(ref)
		text := got.ID
		if err != nil {
			text = err.Error()
			if errors.Is(err, ErrNotFound) != strings.HasPrefix(text, "no task") || errors.Is(err, ErrAmbiguous) == errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %v has another class", ref, err)
			}
		}
		if text != want {
			t.Errorf("%q: got %s, want %s", ref, text, want)
		}
	}
}

func TestListFilters(t *testing.T) {
	s := opened(t, Options{}, nil)
	for i, task := range []Task{
		{ID: "c00000000000", State: Done, Kind: "pull", Owner: "me"},
		{ID: "b00000000000", State: Failed, Kind: "snapshot", Key: "k"},
		{ID: "a00000000000", State: Queued, Kind: "pull", Key: "k"},
	} {
		task.Created = time.Unix(int64(i), 0)
		s.add(task, Secret[any]{})
	}
	for want, filter := range map[string]Filter{
		"c b a": {}, "c b": {States: []State{Done, Failed}}, "c a": {Kinds: []string{"pull"}},
		"b a": {Key: "k"}, "c": {Owner: "me"}, "a": {Key: "k", Kinds: []string{"pull", "x"}}, "": {Owner: "you"},
	} {
		var got []string
		for _, task := range s.List(filter) {
			got = append(got, task.ID[:1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%+v: got %v, want %s", filter, got, want)
		}
	}
}

func TestPruneKeepsWhatHasNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		dir := t.TempDir()
		s := opened(t, Options{Dir: dir, AtOnce: 1, Keep: 2, KeepFor: 24 * time.Hour}, map[string]Func{"pull": h.run})
		waiting := submit(t, s, Spec{Kind: "pull"}).ID
		h.answer <- ErrNeedsSecrets
		var ended []string
		for range 4 {
			time.Sleep(time.Minute)
			ended = append(ended, submit(t, s, Spec{Kind: "pull"}).ID)
			h.answer <- errors.New("x")
			synctest.Wait()
		}
		running, queued := submit(t, s, Spec{Kind: "pull"}).ID, submit(t, s, Spec{Kind: "pull"}).ID
		synctest.Wait()
		left := func() (ids []string) {
			for _, task := range s.List(Filter{}) {
				ids = append(ids, task.ID)
			}
			return ids
		}
		if got, want := left(), []string{waiting, ended[2], ended[3], running, queued}; !slices.Equal(got, want) {
			t.Errorf("by number: %v are left of %v", got, want)
		}
		time.Sleep(26 * time.Hour)
		if got, want := left(), []string{waiting, running, queued}; !slices.Equal(got, want) {
			t.Errorf("by age: %v are left of %v", got, want)
		}
		if files, err := filepath.Glob(filepath.Join(dir, ended[3]+"*")); err != nil || len(files) > 0 {
			t.Errorf("%v are left, %v", files, err)
		}
	})
}

func TestUnreadableFilesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, Options{Dir: dir}, nil)
	s.kinds["pull"] = newHeld().run
	good, other := submit(t, s, Spec{Kind: "pull"}).ID, submit(t, s, Spec{Kind: "pull"}).ID
	shut(t, s)
	text, err := os.ReadFile(filepath.Join(dir, good+".json"))
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"000000000001.json": "", "000000000002.json": "{", "000000000003.json": string(text),
		"000000000004.json": strings.Replace(strings.Replace(string(text), good, "000000000004", 1), "queued", "asleep", 1),
		"000000000005.json": strings.Replace(strings.Replace(string(text), good, "000000000005", 1), `"Format":1`, `"Format":2`, 1),
		"000000000006.json": strings.Replace(strings.Replace(string(text), good, "000000000006", 1), `"queued"`, `"done"`, 1),
		"notes.json":        "{}", "000000000001.log": "its log",
	}
	write := func() {
		for name, text := range bad {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"00000000000f.log", ".tmp-" + good + ".json123"} { // left by a kill
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "00000000000d.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, round := range []struct{ bad, aside int }{{8, 9}, {7, 17}, {0, 17}} {
		if round.bad > 0 {
			write()
		}
		s, errs, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, s, good, Queued)
		wantState(t, s, other, Queued)
		if len(errs) != round.bad {
			t.Errorf("%d errors, want %d: %v", len(errs), round.bad, errs)
		}
		shut(t, s)
		aside, err := os.ReadDir(filepath.Join(dir, asideDir))
		if err != nil || len(aside) != round.aside {
			t.Errorf("%d files were set aside, want %d, %v", len(aside), round.aside, err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 4 { // two tasks, lock and aside
			t.Errorf("%v are left, %v", files, err)
		}
	}
	for name, want := range bad {
		if got, err := os.ReadFile(filepath.Join(dir, asideDir, name)); err != nil || string(got) != want {
			t.Errorf("%s was changed to %q, %v", name, got, err)
		}
	}
}

func TestAFolderHasOneHelper(t *testing.T) {
	s := opened(t, Options{}, nil)
	if _, _, err := Open(Options{Dir: s.options.Dir}); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	shut(t, s)
	opened(t, Options{Dir: s.options.Dir}, nil)
}

func TestSubscribersNeverHoldUpTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Options{}, map[string]Func{
			"pull": func(_ context.Context, r *Run) error { return r.Step("fetch") },
			"long": func(_ context.Context, r *Run) error {
				for range 2 * maxEvents {
					if err := r.SetResult(json.RawMessage("1")); err != nil {
						return err
					}
				}
				return nil
			},
		})
		sub, slow := s.Subscribe(), s.Subscribe()
		defer slow.Close()
		id := submit(t, s, Spec{Kind: "pull"}).ID
		synctest.Wait()
		if err := s.Remove(id); err != nil {
			t.Fatal(err)
		}
		var got []string
		for range 5 {
			event, err := sub.Next(t.Context())
			if err != nil || event.Task.ID != id {
				t.Fatalf("%+v, %v", event, err)
			}
			got = append(got, string(event.Type)+" "+string(event.Task.State)+" "+event.Task.Step)
		}
		want := []string{"changed queued ", "changed running ", "changed running fetch", "changed done fetch", "removed done fetch"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		sub.Close()
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		id = submit(t, s, Spec{Kind: "long"}).ID
		synctest.Wait()
		wantState(t, s, id, Done)
		var last Event
		resyncs := 0
		for n := len(slow.events); n > 0; n-- {
			var err error
			if last, err = slow.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			if last.Type == Resync {
				resyncs++
			}
		}
		if resyncs != 1 || last.Task.State != Done {
			t.Errorf("%d resyncs, the last event is %+v", resyncs, last)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := slow.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
