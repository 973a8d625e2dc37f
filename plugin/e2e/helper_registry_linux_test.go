package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/plugin/e2e/faultproxy"
)

// testHelpersRegistry lets a registry fail in some ways at the points of a push,
// once and, where the engine gives up soon, for good, and has the task go on once
// it is whole again.
func (v *helped) testHelpersRegistry(t *testing.T) {
	ways := []string{"401", "500", "reset", "slow"}
	at := []string{"blob HEAD", "upload PUT", "manifest PUT"}
	proxy, host := proxied(t, v.registry)
	v.user.logIn(t, host, "kasm", helperPassword)
	defer v.user.logIn(t, v.registry, "kasm", helperPassword)
	for _, point := range points {
		for _, fault := range registryFaults {
			if !slices.Contains(at, point.name) || !slices.Contains(ways, fault.name) {
				continue
			}
			for times := range 2 {
				if times == 0 && point.upload {
					continue
				}
				name := fmt.Sprintf("%s at %s", fault.name, point.name)
				if times == 0 {
					name += " for good"
				}
				t.Run(name, func(t *testing.T) {
					v.renew(t, session.Running)
					hit := proxy.Inject(faultproxy.Rule{
						Method: point.method, Path: regexp.MustCompile(point.path), Skip: point.skip, Times: times, Action: fault.action,
					})
					ref := host + "/e2efaults-helper-registry:v1"
					wrong := v.detached(t, ref, proxy)
					met := false
					select {
					case <-hit.Hit():
						met = true
					default:
					}
					for _, w := range wrong {
						t.Error(w)
					}
					v.tally.count("helper's registry", point.name, met, len(wrong))
					v.forget(t, ref)
					v.sweep(t)
				})
			}
		}
	}
}

// detached makes a snapshot in the background, and lists what is wrong with how it
// ended: it is done, or image and workspace are there, the log says why the push
// failed, and a retry is done once the proxy lets all pass.
func (v *helped) detached(t *testing.T, ref string, proxy *faultproxy.Proxy) (wrong []string) {
	t.Helper()
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	look := func(got task.Task) {
		wrong = append(wrong, v.settle(t, settled, func(ctx context.Context) []string {
			return append(v.leftovers(ctx), v.inState(ctx, session.Running)...)
		})...)
		wrong = append(append(wrong, v.resulted(t, got)...), v.files(t)...)
	}
	id := v.user.begin(t, "--push", v.name, ref)
	log := v.user.must(t, "task", "logs", "-f", id)
	got := v.task(t, id)
	look(got)
	proxy.Clear()
	if got.State == task.Done {
		return wrong
	}
	var r snapshot.Result
	if err := json.Unmarshal(got.Result, &r); err != nil || got.State != task.Failed || r.ImageID == "" || r.Workspace == "" || r.Digest != "" {
		say("it is %s with %s: %v\n%s", got.State, got.Result, err, log)
	}
	if !strings.Contains(got.Reason, "push") {
		say("the reason does not say that the push failed: %q", got.Reason)
	}
	wrong = append(append(wrong, v.lastLine(got)...), v.retried(t, id)...)
	look(v.task(t, id))
	return wrong
}
