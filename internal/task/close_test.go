package task

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseWaitsNoLongerOnceItIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := Options{Dir: t.TempDir(), Grace: time.Minute}
		s := opened(t, options, map[string]Func{"deaf": func(_ context.Context, r *Run) error {
			err := r.Step("commit")
			time.Sleep(time.Hour)
			return err
		}})
		id := submit(t, s, Spec{Kind: "deaf"}).ID
		synctest.Wait()
		time.AfterFunc(time.Second, s.GiveUp)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		if err := s.Close(ended); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %s", took)
		}
		s.GiveUp()
		time.Sleep(2 * time.Hour)
		s = opened(t, options, nil)
		wantState(t, s, id, Interrupted)
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
		if log := logText(t, s, panicked); !strings.Contains(log, "close_test.go") {
			t.Errorf("the stack is not in the log:\n%s", log)
		}
	})
}
