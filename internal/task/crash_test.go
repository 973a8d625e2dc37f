package task

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// truth is what the callers of a store have been told, and what the functions of
// its tasks did.
type truth struct {
	mu sync.Mutex
	// there are tasks that Submit returned, gone those that Remove was called for.
	there, gone map[string]bool
	// attempt is the last one whose function was called, of each subject.
	attempt map[string]int
	// asked counts tasks that Submit has given no answer for yet. One that it
	// refused must not be there.
	asked int
	// step is the step that runs, of each subject, next the one to begin.
	step, next map[string]string
	// checkpoint is what is saved for sure.
	checkpoint map[string]string
	// through has the subjects whose function came to its end without an error.
	through map[string]bool
}

func newTruth() *truth {
	return &truth{
		there: map[string]bool{}, gone: map[string]bool{}, attempt: map[string]int{}, step: map[string]string{},
		next: map[string]string{}, checkpoint: map[string]string{}, through: map[string]bool{},
	}
}

func (w *truth) clone() *truth {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &truth{
		there: maps.Clone(w.there), gone: maps.Clone(w.gone), asked: w.asked, attempt: maps.Clone(w.attempt), step: maps.Clone(w.step),
		next: maps.Clone(w.next), checkpoint: maps.Clone(w.checkpoint), through: maps.Clone(w.through),
	}
}

func (w *truth) set(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// work is a function with three steps. The subject "fail" fails once.
func (w *truth) work(ctx context.Context, r *Run) error {
	subject := r.Task().Subject
	w.set(func() { w.step[subject], w.next[subject], w.attempt[subject] = "", "", r.Task().Attempts })
	for _, step := range []string{"commit", "push", "register"} {
		w.set(func() { w.next[subject] = step })
		if err := r.Step(step); err != nil {
			return err
		}
		w.set(func() { w.step[subject] = step })
		r.Log(Info, "in "+step)
		if subject == "fail" && step == "push" && r.Task().Checkpoint == nil {
			if err := r.Checkpoint(json.RawMessage(`"pushed"`)); err != nil {
				return err
			}
			w.set(func() { w.checkpoint[subject] = `"pushed"` })
			return errors.New("the registry is down")
		}
		if subject == "stop" {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	if err := r.SetResult(json.RawMessage(`"image"`)); err != nil {
		return err
	}
	w.set(func() { w.through[subject] = true })
	return nil
}

// live uses a store in all ways, whatever fails.
func (w *truth) live(t *testing.T, options Options) {
	t.Helper()
	s, _, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Register("snapshot", w.work)
	s.Start(t.Context())
	ids := map[string]string{}
	for _, subject := range []string{"well", "fail", "stop"} {
		w.set(func() { w.asked++ })
		task, err := s.Submit(Spec{Kind: "snapshot", Subject: subject, Secrets: Hide[any]("pw")})
		w.set(func() { w.asked-- })
		if err == nil {
			ids[subject] = task.ID
			w.set(func() { w.there[task.ID] = true })
		}
		synctest.Wait()
	}
	// What fails here is what the test is about.
	_ = s.Cancel(ids["stop"])
	synctest.Wait()
	if id := ids["fail"]; id != "" {
		_, _ = s.Retry(id, Secret[any]{})
	}
	synctest.Wait()
	if id := ids["well"]; id != "" {
		w.set(func() { w.gone[id] = true })
		_ = s.Remove(id)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Close(ctx)
}

// check opens what a helper left and holds it against what was told.
func (w *truth) check(t *testing.T, when, dir string) {
	t.Helper()
	// The clock of the test that made the tasks was not that of this one.
	s, bad, err := Open(Options{Dir: dir, KeepFor: 100 * 365 * 24 * time.Hour})
	if err != nil || len(bad) > 0 {
		t.Fatalf("%s: %v, %v", when, bad, err)
	}
	defer shut(t, s)
	found := map[string]bool{}
	for _, task := range s.List(Filter{}) {
		found[task.ID] = true
		subject := task.Subject
		switch task.State {
		case Running:
			t.Errorf("%s: task %s runs without a helper", when, subject)
		case Done:
			if !w.through[subject] {
				t.Errorf("%s: task %s is done, but was not", when, subject)
			}
		case Interrupted:
			step, next := w.step[subject], w.next[subject]
			if task.Attempts > w.attempt[subject] {
				step, next = "", ""
			}
			if task.Step != step && task.Step != next || !strings.HasPrefix(task.Reason, "the helper ") || !strings.Contains(task.Reason, where(task.Step)) {
				t.Errorf("%s: task %s was in step %q or %q, not %q (%s)", when, subject, step, next, task.Step, task.Reason)
			}
		case Queued:
			if task.WithSecrets {
				t.Errorf("%s: task %s is queued without its secrets", when, subject)
			}
		case Failed, Cancelled, Waiting:
			if task.Reason == "" {
				t.Errorf("%s: task %s is %s for no reason", when, subject, task.State)
			}
		}
		if want := w.checkpoint[subject]; want != "" && string(task.Checkpoint) != want {
			t.Errorf("%s: task %s has the checkpoint %s, want %s", when, subject, task.Checkpoint, want)
		}
		if log := logText(t, s, task.ID); strings.Contains(log, unreadable) && !strings.Contains(when, "cut") {
			t.Errorf("%s: the log of %s is\n%s", when, subject, log)
		}
	}
	for id := range w.there {
		if !found[id] && !w.gone[id] {
			t.Errorf("%s: task %s was there and is lost", when, id)
		}
		delete(found, id)
	}
	if len(found) > w.asked {
		t.Errorf("%s: %d tasks that nobody was told of are there, want %d at most", when, len(found), w.asked)
	}
	left, err := filepath.Glob(filepath.Join(dir, temporary))
	if err != nil || len(left) > 0 {
		t.Errorf("%s: %v are left, %v", when, left, err)
	}
}

// TestJournalOutlivesAKill looks at the folder before and after each change of a
// file, as the next helper would find it.
func TestJournalOutlivesAKill(t *testing.T) {
	type moment struct {
		when, dir, appended string
		truth               *truth
	}
	var moments []moment
	dir, copies := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newTruth()
		look := func(when, appended string) {
			to := filepath.Join(copies, fmt.Sprint(len(moments)))
			if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
			moments = append(moments, moment{fmt.Sprintf("%s (%d)", when, len(moments)), to, appended, w.clone()})
		}
		w.live(t, Options{Dir: dir, around: func(change, name string, do func() error) error {
			look("before "+change, "")
			err := do()
			if change != "append" {
				name = ""
			}
			look("after "+change, name)
			return err
		}})
	})
	if len(moments) < 60 {
		t.Errorf("only %d moments were looked at", len(moments))
	}
	for _, m := range moments {
		if m.appended != "" {
			cut := m.dir + "-cut"
			if err := os.CopyFS(cut, os.DirFS(m.dir)); err != nil {
				t.Fatal(err)
			}
			halve(t, filepath.Join(cut, m.appended))
			m.truth.check(t, m.when+" cut short", cut)
		}
		m.truth.check(t, m.when, m.dir)
	}
}

// halve leaves half of the last line of a log, and half of a task's file that was
// not in its place yet.
func halve(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
	task := strings.TrimSuffix(path, logExtension) + taskExtension
	whole, err := os.ReadFile(task)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(filepath.Dir(task), ".tmp-"+filepath.Base(task)+"1234")
	err = errors.Join(os.Truncate(path, int64(last+(len(data)-last)/2)), os.WriteFile(half, whole[:len(whole)/2], 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

// TestJournalOutlivesFailures lets single changes of files fail, and the disk be
// full from then on.
func TestJournalOutlivesFailures(t *testing.T) {
	errDisk := errors.New("no space left on device")
	for name, fails := range map[string]func(n, at int) bool{
		"once": func(n, at int) bool { return n == at }, "from then on": func(n, at int) bool { return n >= at },
	} {
		for _, done := range []bool{false, true} {
			if done && name != "once" {
				continue // what is told to have failed each time is not there
			}
			t.Run(fmt.Sprintf("%s, done %t", name, done), func(t *testing.T) {
				t.Parallel()
				for at, all := 0, 1; at < all; at++ {
					w, dir := newTruth(), t.TempDir()
					all = 0
					what := ""
					synctest.Test(t, func(t *testing.T) {
						var mu sync.Mutex
						w.live(t, Options{Dir: dir, around: func(change, _ string, do func() error) error {
							mu.Lock()
							n := all
							all++
							mu.Unlock()
							if !fails(n, at) {
								return do()
							}
							what = change
							if done {
								return errors.Join(do(), errDisk)
							}
							return errDisk
						}})
					})
					w.check(t, fmt.Sprintf("%s (%d)", what, at), dir)
				}
			})
		}
	}
}
