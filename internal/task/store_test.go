package task

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
