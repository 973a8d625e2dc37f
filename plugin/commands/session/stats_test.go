package session

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/command/formatter"

	"github.com/docker-kasm/docker-kasm/internal/meter"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

func TestWhatIsNotKnownOrOldIsMarked(t *testing.T) {
	now := time.Now()
	all := "{{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}} {{.Disk}}"
	known := &meter.Usage{CPU: 12.345, Memory: 1 << 20, MemoryLimit: 4 << 20, Received: 1500, Sent: 2, Read: 3, Written: 4e6, Processes: 7}
	first := *known
	first.CPU = -1
	unlimited := *known
	unlimited.MemoryLimit = 0
	for name, c := range map[string]struct {
		r    meter.Reading
		want string
	}{
		"all":              {meter.Reading{Usage: known, Disk: meter.Disk{Bytes: 2e6, At: now}}, "12.35% 1MiB / 4MiB 25.00% 1.5kB / 2B 3B / 4MB 7 2MB"},
		"one frame":        {meter.Reading{Usage: &first, Disk: meter.Disk{Bytes: -1}}, "-- 1MiB / 4MiB 25.00% 1.5kB / 2B 3B / 4MB 7 …"},
		"no limit":         {meter.Reading{Usage: &unlimited, Disk: meter.Disk{Bytes: -1, At: now}}, "12.35% 1MiB / -- -- 1.5kB / 2B 3B / 4MB 7 --"},
		"stopped, so long": {meter.Reading{Disk: meter.Disk{Bytes: 2e6, At: now.Add(-time.Minute)}}, "-- -- / -- -- -- -- -- ~2MB"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := writeStats(formatter.Context{Output: &out, Format: formatter.Format(all)}, []meter.Reading{c.r}); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(out.String()); got != c.want {
				t.Errorf("got %q, not %q", got, c.want)
			}
		})
	}
}

func TestTimeThatPassesIsNoFact(t *testing.T) {
	at := func(state session.State, status string) session.Session {
		return facts(session.Session{State: state, Status: status})
	}
	if at(session.Running, "Up 3 minutes").Status != at(session.Running, "Up 4 minutes").Status {
		t.Error("a minute more is another fact")
	}
	if at(session.Running, "Up 3 minutes (health: starting)").Status == at(session.Running, "Up 3 minutes (healthy)").Status {
		t.Error("health is none")
	}
	if at(session.Running, "Restarting (1) 3 seconds ago").Status != at(session.Running, "Restarting (1) 4 seconds ago").Status {
		t.Error("a second more is another fact")
	}
	if at(session.Running, "Restarting (1) 3 seconds ago").Status == at(session.Running, "Up 3 seconds").Status {
		t.Error("that it is started again is none")
	}
	if at(session.Stopped, "Exited (0) 3 minutes ago").Status != at(session.Stopped, "Exited (0) 4 minutes ago").Status {
		t.Error("a minute more is another fact")
	}
}
