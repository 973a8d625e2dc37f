package deploy

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/dial"
)

// atOnce does several things in the same moment.
func atOnce(do ...func()) {
	var wg sync.WaitGroup
	for _, f := range do {
		wg.Go(f)
	}
	wg.Wait()
}

func installed(t *testing.T) *fakeEngine {
	t.Helper()
	e := newEngine()
	if changed, err := Install(t.Context(), e, e.options("ann@there", "old")); err != nil || !changed {
		t.Fatal(changed, err)
	}
	e.check(t, "old", map[string]string{})
	return e
}

func TestOfTwoUpgradesAtOnceOneDoesItAndTheOtherSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := installed(t)
		var changes, waits [2]int
		one := func(i int) func() {
			return func() {
				o := e.options([]string{"ann@there", "bob@here"}[i], "new")
				o.Report = func(text string) {
					if strings.Contains(text, "set up or removed by "+[]string{"bob@here", "ann@there"}[i]) {
						waits[i]++
					}
				}
				changed, err := Upgrade(t.Context(), e, o)
				if err != nil {
					t.Error(err)
				}
				if changed {
					changes[i]++
				}
			}
		}
		atOnce(one(0), one(1))
		if changes[0]+changes[1] != 1 || waits[0]+waits[1] != 1 || changes[0] == waits[0] {
			t.Errorf("who changed something: %v, who waited: %v", changes, waits)
		}
		e.check(t, "new", map[string]string{})
	})
}

func TestSettingsOfUpgradesAtOnceAreAllKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := installed(t)
		var does []func()
		for flag, value := range map[string]string{"log-level": "debug", "log-format": "json"} {
			does = append(does, func() {
				o := e.options("ann@there", "new")
				o.Settings[flag] = value
				if changed, err := Upgrade(t.Context(), e, o); err != nil || !changed {
					t.Errorf("%s: %v %v", flag, changed, err)
				}
			})
		}
		atOnce(does...)
		e.check(t, "new", map[string]string{"log-level": "debug", "log-format": "json"})
	})
}

func TestTheFormerHelperGoesOnAfterUpgradesAtOnceThatDoNotComeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := installed(t)
		e.broken = "/nowhere.sock"
		one := func() {
			o := e.options("ann@there", "old")
			o.Socket = e.broken
			if changed, err := Upgrade(t.Context(), e, o); err == nil || changed {
				t.Error("it came up without its socket")
			}
		}
		atOnce(one, one)
		e.check(t, "old", map[string]string{})
	})
}

func TestInstallAndUpgradeAtOnceEndWithTheNewHelper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := installed(t)
		atOnce(func() {
			if changed, err := Upgrade(t.Context(), e, e.options("ann@there", "new")); err != nil || !changed {
				t.Error(changed, err)
			}
		}, func() {
			time.Sleep(10 * time.Second) // the old one is being stopped
			if changed, err := Install(t.Context(), e, e.options("bob@here", "new")); err != nil || changed {
				t.Error(changed, err)
			}
		})
		e.check(t, "new", map[string]string{})
	})
}

func TestUninstallWaitsForAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := installed(t)
		atOnce(func() {
			if changed, err := Upgrade(t.Context(), e, e.options("ann@there", "new")); err != nil || !changed {
				t.Error(changed, err)
			}
		}, func() {
			time.Sleep(10 * time.Second)
			if _, err := Uninstall(t.Context(), e, UninstallOptions{Purge: true, User: "bob@here", Report: func(string) {}}); err != nil {
				t.Error(err)
			}
		})
		if len(e.containers)+len(e.images)+len(e.volumes) != 0 {
			t.Errorf("left are %v, %v and %v", e.containers, e.images, e.volumes)
		}
	})
}

func TestTheImageThatPortsWereForwardedWithIsRemovedWithoutAHelper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		if _, err := Image(t.Context(), e, e.options("ann@there", "one")); err != nil || len(e.images) != 1 {
			t.Fatal(e.images, err)
		}
		var said []string
		uninstall := func() (bool, error) {
			return Uninstall(t.Context(), e, UninstallOptions{User: "ann@there", Report: func(line string) { said = append(said, line) }})
		}
		if was, err := uninstall(); err != nil || was || len(e.images) != 0 || len(said) != 1 {
			t.Errorf("there was a helper: %v, images %v are left, said %q: %v", was, e.images, said, err)
		}
		if _, err := uninstall(); !errors.Is(err, dial.ErrNone) {
			t.Errorf("the second time: %v", err)
		}
	})
}

func TestAnInterruptedWaitChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := installed(t)
		_, err := inTurn(t.Context(), e, "ann@there", nil, func(context.Context) (bool, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			changed, err := Upgrade(ctx, e, e.options("bob@here", "new"))
			if changed || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Error(changed, err)
			}
			return false, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		e.check(t, "old", map[string]string{})
	})
}

func TestInstallLeavesNothingOfAnUpgradeThatWasKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := installed(t)
		if err := e.ContainerRename(t.Context(), dial.Volume, former); err != nil {
			t.Fatal(err)
		}
		if changed, err := Install(t.Context(), e, e.options("ann@there", "old")); err != nil || !changed {
			t.Error(changed, err)
		}
		e.check(t, "old", map[string]string{})
	})
}
