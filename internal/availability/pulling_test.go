package availability

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPullingLastsUntilItsOutcomeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.setRemote("docker.io/library/firefox:latest", remote{digest: hex(7)})
		w := run(t, f, Options{}, container("a", "firefox"), container("b", "docker.io/library/firefox:latest"))
		changes := w.Subscribe(t.Context(), 10)
		first, second := w.Pulling("firefox"), w.Pulling("library/firefox:latest")
		expect(t, w, "a", Pulling, "")
		expect(t, w, "b", Pulling, "")
		first()
		first()
		settle()
		expect(t, w, "a", Pulling, "")
		f.with(func() { f.lose = true })
		f.put("firefox:latest", hex(1), hex(7))
		second()
		synctest.Wait()
		got := expect(t, w, "a", Available, "")
		if got.ImageID != hex(1) {
			t.Errorf("got image %s", got.ImageID)
		}
		for len(changes) > 0 {
			if c := <-changes; c.New.State != Pulling && c.New.State != Available {
				t.Errorf("in between %s was %s", c.Name, c.New.State)
			}
		}
		// A pull that ends while the engine is away is over, too.
		done := w.Pulling("firefox")
		f.cut()
		settle()
		expect(t, w, "a", Pulling, "")
		done()
		expect(t, w, "a", Available, "")
		// So is one that ended just before, and that no list has told of.
		f.up(false)
		time.Sleep(2 * longestRetry)
		done = w.Pulling("firefox")
		f.with(func() { f.takes = time.Hour })
		settle()
		done()
		settle()
		expect(t, w, "a", Pulling, "")
		f.cut()
		synctest.Wait()
		expect(t, w, "a", Available, "")
	})
}

func TestAFailedPullGivesTheStateBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.setRemote("docker.io/library/firefox:latest", remote{digest: hex(7)})
		w := run(t, f, Options{}, container("a", "firefox"))
		done := w.Pulling("firefox")
		time.Sleep(time.Hour)
		expect(t, w, "a", Pulling, "")
		done()
		settle()
		got := expect(t, w, "a", Pullable, "")
		if time.Since(got.Since) > 2*time.Second {
			t.Errorf("pullable since %s, want since the pull ended", got.Since)
		}
	})
}
