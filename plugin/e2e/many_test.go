package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// TestManySessionsAtOnce starts KASM_TEST_SESSIONS sessions at once (20 if that is
// not set), then stops half of them while the others are paused and started
// again, and then stops and deletes all. None may be lost, or be in another state
// than what was reported.
func TestManySessionsAtOnce(t *testing.T) {
	s := newSuite(t)
	u := s.user(t)
	const name = "e2emany"
	t.Cleanup(func() { cleanUp(name) })
	count := 20
	if v := os.Getenv("KASM_TEST_SESSIONS"); v != "" {
		var err error
		if count, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range count {
		n := fmt.Sprintf("%s.%d", name, i)
		labels := map[string]string{session.LabelSession: fmt.Sprintf("%016x", i), session.LabelName: n, session.LabelWorkspace: name}
		if _, err := api.ContainerCreate(t.Context(), &container.Config{Image: baseImage, Labels: labels}, nil, nil, nil, n); err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	half, rest := names[:count/2], names[count/2:]
	do := func(verb string, names []string) {
		out, err := u.kasm(append(strings.Fields(verb), names...)...)
		if err != nil {
			t.Errorf("%s: %v: %s", verb, err, out)
		}
		got := strings.Fields(out)
		slices.Sort(got)
		want := slices.Sorted(slices.Values(names))
		if !slices.Equal(got, want) {
			t.Errorf("%s reports %d of %d: %s", verb, len(got), len(want), out)
		}
	}
	states := func(want map[string]int) {
		t.Helper()
		out, err := u.kasm("ls", "-a", "--filter", "name="+name, "--format", "{{.State}}")
		if err != nil {
			t.Fatal(out)
		}
		got := map[string]int{}
		for _, state := range strings.Fields(out) {
			got[state]++
		}
		t.Logf("%d sessions: %v", count, got)
		if !maps.Equal(got, want) {
			t.Fatalf("states are %v, not %v", got, want)
		}
	}
	states(map[string]int{"created": count})
	do("start", names)
	states(map[string]int{"running": count})
	for _, n := range names {
		s.ready(t, n)
	}
	var both sync.WaitGroup
	both.Go(func() { do("stop", half) })
	both.Go(func() {
		do("pause", rest)
		do("start", rest)
	})
	both.Wait()
	states(map[string]int{"stopped": len(half), "running": len(rest)})
	both.Go(func() { do("start", half) })
	both.Go(func() { do("stop", rest) })
	both.Wait()
	states(map[string]int{"stopped": len(rest), "running": len(half)})
	do("rm -f", names)
	states(map[string]int{})
}
