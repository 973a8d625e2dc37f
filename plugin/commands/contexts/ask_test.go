package contexts

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// greeted are contexts whose engines have answered.
func greeted(names ...string) *Set {
	set := &Set{timeout: time.Second}
	for _, name := range names {
		set.contexts = append(set.contexts, &Context{Name: name, lines: &lines{}, answered: true})
	}
	return set
}

func TestNoContextWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		answers := Ask(t.Context(), greeted("a", "b", "c"), func(ctx context.Context, c *Context, _ func()) (string, error) {
			switch c.Name {
			case "a":
				<-ctx.Done()
				return "", ctx.Err()
			case "b":
				// One that does not heed its context.
				time.Sleep(time.Hour)
			}
			time.Sleep(500 * time.Millisecond)
			return c.Name, nil
		})
		var silent *silentError
		if !errors.As(answers[0].Err, &silent) || !errors.As(answers[1].Err, &silent) || answers[2].Result != "c" || answers[2].Err != nil {
			t.Errorf("answers: %+v", answers)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %s", took)
		}
		time.Sleep(time.Hour) // it ends, too
	})
}

func TestWhatTakesLongIsWaitedForOnceTheEngineHasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := Ask(t.Context(), greeted("a"), func(ctx context.Context, _ *Context, answered func()) (string, error) {
			answered()
			time.Sleep(time.Hour)
			return "late", ctx.Err()
		})
		if answers[0].Result != "late" || answers[0].Err != nil {
			t.Errorf("answer: %+v", answers[0])
		}
	})
}

func TestAnInterruptEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		for _, a := range Ask(ctx, greeted("a", "b"), func(context.Context, *Context, func()) (string, error) {
			time.Sleep(time.Hour)
			return "", nil
		}) {
			if !errors.Is(a.Err, context.Canceled) {
				t.Errorf("%s: %v", a.Context.Name, a.Err)
			}
		}
		time.Sleep(time.Hour) // they end, too
	})
}
