package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// logText has a line for each of a log's, without times.
func logText(t *testing.T, s *Store, id string) string {
	t.Helper()
	lines, err := s.Logs(t.Context(), id, false)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line, err := range lines {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(show(line))
	}
	return text.String()
}

func show(l Line) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s%s%s", l.Step, l.Level, l.Message, l.Part, l.Progress)) + "\n"
}

func TestFollowersGetAllLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		next := make(chan bool)
		s := opened(t, Options{}, map[string]Func{"pull": func(_ context.Context, r *Run) error {
			err := r.Step("fetch")
			r.Log(Info, "first\n\x1b[31mred\x00")
			<-next
			for i := range n {
				r.Log(Warning, fmt.Sprint(i))
				r.Progress("layer", json.RawMessage(fmt.Sprint(i)))
			}
			r.Progress("bad", json.RawMessage("{"))
			return err
		}})
		id := submit(t, s, Spec{Kind: "pull"}).ID
		lines := func() (text string) {
			for i := range n {
				text += fmt.Sprintf("fetch warning %d\n", i)
			}
			return text
		}
		want := "fetch begins\nfetch info first\n\x1b[31mred\x00\n" + lines() + "fetch info done\n"
		read := make([]struct {
			log, last string
			err       error
		}, 3)
		resume := make(chan bool)
		for i := range read {
			got := &read[i]
			seq, err := s.Logs(t.Context(), id, true)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for line, err := range seq {
					if i == 0 {
						<-resume // the slow one
					}
					switch {
					case err != nil:
						got.err = err
					case line.Level == Progress && show(line) == got.last:
						got.err = errors.New("progress was given twice")
					case line.Level == Progress:
						got.last = show(line)
					default:
						got.log += show(line)
					}
				}
				got.log += "end"
			}()
		}
		ctx, cancel := context.WithCancel(t.Context())
		seq, err := s.Logs(ctx, id, true)
		if err != nil {
			t.Fatal(err)
		}
		var left error
		go func() {
			for _, err := range seq {
				left = err
			}
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(left, context.Canceled) {
			t.Errorf("a follower whose context ends gets %v", left)
		}
		next <- true
		synctest.Wait()
		wantState(t, s, id, Done) // though one reads nothing
		close(resume)
		synctest.Wait()
		for i, got := range read {
			if got.err != nil || got.log != want+"end" || got.last != fmt.Sprintf("fetch progress layer%d\n", n-1) {
				t.Errorf("follower %d: %q, last %q, %v", i, got.log, got.last, got.err)
			}
		}
		if got := logText(t, s, id); got != want {
			t.Errorf("afterwards: %q", got)
		}
		for _, e := range s.entries {
			if e.progress.parts != nil || e.followers != 0 {
				t.Error("progress is kept that nobody follows")
			}
		}
	})
}

func TestFollowersEndWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Options{}, nil)
		s.Register("pull", newHeld().run)
		id := submit(t, s, Spec{Kind: "pull"}).ID
		seq, err := s.Logs(t.Context(), id, true)
		if err != nil {
			t.Fatal(err)
		}
		var got error
		go func() {
			for _, err := range seq {
				got = err
			}
		}()
		synctest.Wait()
		shut(t, s)
		synctest.Wait()
		if !errors.Is(got, ErrClosed) {
			t.Errorf("got %v", got)
		}
	})
}

func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 32 << 10
		dir := t.TempDir()
		attempt := 0
		s := opened(t, Options{Dir: dir, LogSize: most}, map[string]Func{"pull": func(_ context.Context, r *Run) error {
			attempt++
			for i := range 5000 {
				r.Log(Info, fmt.Sprintf("attempt %d line %d \x01\x02", attempt, i))
			}
			r.Log(Info, strings.Repeat("é", 3*maxMessage))
			return errors.Join(r.Step("last"), errors.New("the reason"))
		}})
		id := submit(t, s, Spec{Kind: "pull"}).ID
		synctest.Wait()
		first := logText(t, s, id)
		if !strings.HasPrefix(first, "info attempt 1 line 0 \x01\x02\n") || !strings.HasSuffix(first, " \x01\x02\nwarning "+fullNote+"\nlast begins\nlast error the reason\n") {
			t.Errorf("the log ends with %q", first[max(0, len(first)-300):])
		}
		if _, err := s.Retry(id, Secret[any]{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		second := strings.TrimPrefix(logText(t, s, id), first)
		if second != "info attempt 2\nlast begins\nlast error the reason\n" {
			t.Errorf("the second attempt has %q", second)
		}
		for range 40 {
			if _, err := s.Retry(id, Secret[any]{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		info, err := os.Stat(filepath.Join(dir, id+".log"))
		if err != nil || info.Size() > most {
			t.Errorf("it has %d bytes, %v", info.Size(), err)
		}
	})
}

func TestALineCutShortHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := opened(t, Options{Dir: dir}, map[string]Func{"pull": func(context.Context, *Run) error { return errors.New("x") }})
		id := submit(t, s, Spec{Kind: "pull"}).ID
		synctest.Wait()
		path := filepath.Join(dir, id+".log")
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("x", 2*maxLine)
		if _, err := f.WriteString(long + "\n{}\n" + `{"Time":"2026-01-02T03:04:05Z","Level":"info","Message":"go`); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		bad := "warning " + unreadable + "\n"
		if got := logText(t, s, id); got != "error x\n"+bad+bad {
			t.Errorf("got %q", got)
		}
		if _, err := s.Retry(id, Secret[any]{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := logText(t, s, id); got != "error x\n"+bad+bad+bad+"info attempt 2\nerror x\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestProgressIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		s := opened(t, Options{}, map[string]Func{"pull": func(ctx context.Context, r *Run) error {
			for i := range 2 * maxParts {
				r.Progress(fmt.Sprint(i), json.RawMessage("1"))
			}
			r.Progress("0", json.RawMessage(`"`+strings.Repeat("x", maxProgress)+`"`))
			return h.run(ctx, r)
		}})
		id := submit(t, s, Spec{Kind: "pull"}).ID
		synctest.Wait()
		if got := s.entries[id].progress.since(0); len(got) != maxParts || string(got[0].Progress) != "1" {
			t.Errorf("%d parts are kept", len(got))
		}
	})
}
