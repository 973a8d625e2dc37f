package lifetime

import "time"

// Usage are counters of what a session has used since its last start.
type Usage struct {
	// CPU is the processor time of all its processes.
	CPU time.Duration `json:"CPU"`
	// Network is the number of bytes sent and received.
	Network uint64 `json:"Network"`
}

const (
	// lookEvery is how often the usage of a session is looked at.
	lookEvery = time.Minute
	// idleCPU is the part of one processor that an idle session stays below.
	idleCPU = 0.05
	// idleNetwork is the number of bytes in each lookEvery that an idle one
	// does: address resolution, announcements, time-outs of connections.
	idleNetwork = 2 << 10
)

// quiet tells whether a session that went from one usage to another in a time
// was idle. Counters that went back are those of a new start. The allowance is
// never below that of one lookEvery: over seconds, nothing can be said.
func quiet(from, to Usage, in time.Duration) bool {
	if to.CPU < from.CPU || to.Network < from.Network {
		return false
	}
	in = max(in, lookEvery)
	return float64(to.CPU-from.CPU) < idleCPU*float64(in) &&
		float64(to.Network-from.Network) < idleNetwork*in.Minutes()
}

// look is one look at a session's usage.
type look struct {
	// at is the local time, for its monotonic part.
	at time.Time
	// now is the engine's time.
	now   time.Time
	usage Usage
	// fresh is set where what happened since the last look does not count.
	fresh bool
}

// observe notes what a look shows, given the one before it, if any in this run.
func (e *Entry) observe(last *look, is look) {
	switch {
	case last != nil && last.fresh:
		if e.Rest != nil {
			e.Rest = &Rest{Since: e.Rest.Since, Usage: is.usage}
		}
	case last != nil:
		if in := is.at.Sub(last.at); !quiet(last.usage, is.usage, in) {
			e.Rest = nil
		} else if e.Rest == nil {
			e.Rest = &Rest{Since: is.now.Add(-in), Usage: last.usage}
		}
	case e.Rest != nil && !quiet(e.Rest.Usage, is.usage, is.now.Sub(e.Rest.Since)):
		// Used while no helper ran.
		e.Rest = nil
	}
	if e.Rest == nil {
		e.Idle = Progress{}
	}
}
