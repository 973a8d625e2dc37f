package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
)

// TestFaults breaks what a snapshot depends on, and holds what is left after
// each round against what must be true whatever happens: registries that fail,
// the plugin killed, the plugin and its guard killed, the engine killed.
// KASM_TEST_FAULTS is the number of rounds at each step; `make test-faults`
// runs it on every engine.
func TestFaults(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("KASM_TEST_FAULTS"))
	if rounds < 1 {
		t.Skip("run `make test-faults`, or set KASM_TEST_FAULTS to the number of rounds at each step")
	}
	registry := os.Getenv("KASM_TEST_OPEN_REGISTRY")
	if registry == "" {
		t.Skip("no registry to push to: run `make test-faults`")
	}
	f := &faults{suite: newSuite(t), rounds: rounds, registry: registry}
	var err error
	if f.api, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cleanUp("e2efaults") })
	defer func() { t.Logf("rounds and what they violated:\n%s", f.tally.table()) }()
	t.Run("registry", f.testRegistry)
	f.tally.allMet(t, f.containerdStore(t))
	t.Run("kill plugin", f.testKillPlugin)
	t.Run("kill plugin and guard", f.testKillBoth)
	t.Run("kill engine", f.testKillEngine)
}

// faults is what all rounds share.
type faults struct {
	suite
	api      *client.Client
	rounds   int
	registry string
	tally    tally
	// took has how long each step takes, for each of the variants.
	took [5]map[snapshot.Step]time.Duration
}

// tally counts rounds, for the table at the end.
type tally struct {
	mu   sync.Mutex
	rows []*row
}

type row struct {
	fault, at string
	// rounds are all, met those in which the fault came where it was meant to:
	// a process can be through with a step before it is killed.
	rounds, met, violations int
}

func (c *tally) count(fault, at string, met bool, violations int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var r *row
	for _, known := range c.rows {
		if known.fault == fault && known.at == at {
			r = known
		}
	}
	if r == nil {
		r = &row{fault: fault, at: at}
		c.rows = append(c.rows, r)
	}
	r.rounds++
	if met {
		r.met++
	}
	r.violations += violations
}

// allMet wants each point at which a registry fails to have been met: a rule
// that takes no request shows nothing. A containerd store sends a layer in one
// request, without PATCH, and does not ask the registry for its version before.
func (c *tally) allMet(t *testing.T, containerd bool) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rows {
		if r.met == 0 && (!containerd || r.at != "upload PATCH" && r.at != "ping") {
			t.Errorf("%s: nothing was met at %s in %d rounds", r.fault, r.at, r.rounds)
		}
	}
}

func (f *faults) containerdStore(t *testing.T) bool {
	t.Helper()
	info, err := engine.Inspect(t.Context(), f.api)
	if err != nil {
		t.Fatal(err)
	}
	return info.Store == engine.Containerd
}

func (c *tally) table() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 1, 3, ' ', 0)
	fmt.Fprintln(w, "FAULT\tAT\tROUNDS\tMET\tVIOLATIONS")
	sum := row{fault: "all"}
	for _, r := range append(c.rows, &sum) {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", r.fault, r.at, r.rounds, r.met, r.violations)
		sum.rounds, sum.met, sum.violations = sum.rounds+r.rounds, sum.met+r.met, sum.violations+r.violations
	}
	_ = w.Flush()
	return text.String()
}
