package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestSnapshotsAtOnceKeepTheirWork makes snapshots of several sessions of one
// image in the same moment, under names that are generated, and deletes the
// sessions. Each one's work must be launched by the workspace that was reported.
func TestSnapshotsAtOnceKeepTheirWork(t *testing.T) {
	s := newSuite(t)
	t.Cleanup(func() { cleanUp("e2etogether") })
	u := s.user(t)
	id := s.docker(t, "create", "--name", "e2etogether.base", baseImage)
	s.docker(t, "commit", id, "e2etogether:v1")
	if out, err := u.kasm("workspace", "create", "--image", "e2etogether:v1", "e2etogether"); err != nil {
		t.Fatal(out)
	}
	const sessions = 4
	var names []string
	for i := range sessions {
		name := fmt.Sprintf("e2etogether.%d", i)
		if out, err := u.kasm("run", "--name", name, "e2etogether"); err != nil {
			t.Fatal(out)
		}
		s.docker(t, "exec", name, "sh", "-c", "echo work of "+name+" > /work.txt")
		names = append(names, name)
	}
	check := func(reported map[string]string) {
		t.Helper()
		seen := map[string]bool{}
		for name, ws := range reported {
			if seen[ws] {
				t.Errorf("workspace %s was reported twice", ws)
			}
			seen[ws] = true
			again := name + ".again"
			if out, err := u.kasm("run", "--name", again, ws); err != nil {
				t.Errorf("launch what was kept of %s: %s", name, out)
				continue
			}
			if got := s.docker(t, "exec", again, "cat", "/work.txt"); got != "work of "+name {
				t.Errorf("%s holds %q, not the work of %s", ws, got, name)
			}
			s.docker(t, "rm", "-f", again)
		}
	}

	reported := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			out, err := u.kasm("commit", "--progress", "json", "--format", "reported {{.Workspace}}", name)
			if err != nil {
				t.Errorf("commit %s: %s", name, out)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			_, ws, _ := strings.Cut(out, "reported ")
			reported[name] = strings.TrimSpace(strings.SplitN(ws, "\n", 2)[0])
		})
	}
	wg.Wait()
	check(reported)

	out, err := u.kasm(append([]string{"rm", "-f", "--snapshot"}, names...)...)
	if err != nil {
		t.Fatal(out)
	}
	reported = map[string]string{}
	for line := range strings.Lines(out) {
		if name, kept, ok := strings.Cut(line, ": kept as "); ok {
			_, ws, _ := strings.Cut(kept, ", workspace ")
			reported[name] = strings.TrimSpace(ws)
		}
	}
	if len(reported) != sessions {
		t.Fatalf("%d of %d were reported as kept:\n%s", len(reported), sessions, out)
	}
	check(reported)
}
