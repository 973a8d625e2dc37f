package lifetime

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestExtend(t *testing.T) {
	for name, c := range map[string]struct {
		at, by, until time.Duration
		want          []string
	}{
		"before the warning": {h, 2 * h, 10 * h, []string{"extended 1h", "warning 9h55m", "expired 10h"}},
		"after the warning":  {8*h - m, 2 * h, 10 * h, []string{"warning 7h55m", "extended 7h59m", "warning 9h55m", "expired 10h"}},
		"by very little":     {8*h - m, m, 8*h + m, []string{"warning 7h55m", "extended 7h59m", "warning 7h59m1s", "expired 8h4m1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, limited(8*h))
				e, stop := w.run()
				after(c.at)
				until, err := e.Extend(context.Background(), id(1), c.by)
				if err != nil || !until.Equal(w.began.Add(c.until)) {
					t.Errorf("until %s, %v", until, err)
				}
				if at, why, ok := e.Status(id(1)); !ok || at.Before(until) || why != "limit of 8h, extended" {
					t.Errorf("status: %s, %q, %v", at, why, ok)
				}
				after(2 * time.Second)
				stop() // it outlives the helper
				_, stop = w.run()
				defer stop()
				after(20 * h)
				w.expect("events", w.told(), c.want...)
				w.expect("done", w.acted(), "stop s1")
			})
		})
	}
}

func TestExtendAfterTheExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		e, stop := w.run()
		defer stop()
		after(9 * h)
		until, err := e.Extend(context.Background(), id(1), 2*h)
		if err != nil || !until.Equal(w.began.Add(11*h)) {
			t.Errorf("until %s, %v", until, err)
		}
		w.state(e, session.Running)
		after(20 * h)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h", "extended 9h", "warning 10h55m", "expired 11h")
	})
}

func TestExtendBreaksASnapshotOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(with(limited(8*h), "delete")))
		w.snapshotTime = 20 * m
		e, stop := w.run()
		defer stop()
		after(8*h + 10*m)
		if until, err := e.Extend(context.Background(), id(1), h); err != nil || !until.Equal(w.began.Add(9*h+10*m)) {
			t.Errorf("until %s, %v", until, err)
		}
		after(30 * m)
		w.expect("done", w.acted())
		w.expect("events", w.told(), "warning 7h55m", "extended 8h10m")
		after(h)
		w.expect("done", w.acted(), "snapshot s1", "delete s1")
	})
}

func TestExtendRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, workspace.Lifetime{})
		e, stop := w.run()
		defer stop()
		var none *session.NotFoundError
		if _, err := e.Extend(context.Background(), id(9), h); !errors.As(err, &none) {
			t.Errorf("no session: %v", err)
		}
		if _, err := e.Extend(context.Background(), id(1), h); err == nil || !strings.Contains(err.Error(), `workspace "w"`) {
			t.Errorf("no lifetime: %v", err)
		}
		w.set(e, func() { w.spaces["w"] = limited(8 * h) })
		after(m)
		for _, by := range []time.Duration{0, -h, 1 << 62} {
			if _, err := e.Extend(context.Background(), id(1), by); err == nil {
				t.Errorf("extended by %s", by)
			}
		}
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Extend(context.Background(), id(1), h); err == nil {
			t.Error("an extension that cannot be written is reported as done")
		}
		after(m)
		if at, _, ok := e.Status(id(1)); !ok || !at.Equal(w.began.Add(8*h)) {
			t.Errorf("and is in force: %s, %v", at, ok)
		}
	})
}
