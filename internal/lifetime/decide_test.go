package lifetime

import (
	"testing"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func limited(d time.Duration) workspace.Lifetime {
	return workspace.Lifetime{Limit: workspace.Duration(d)}
}

func with(l workspace.Lifetime, verb string) workspace.Lifetime {
	l.OnExpiry = verb
	return l
}

func TestDecide(t *testing.T) {
	const m, h = time.Minute, time.Hour
	due := noon.Add(8 * h)
	warned := func(at time.Time) Entry { return Entry{Limit: Progress{Due: due, Warned: at}} }
	running := Facts{State: session.Running, Created: noon}
	idle := running
	idle.IdleSince = noon.Add(h)
	idleDue := noon.Add(2 * h)
	both := workspace.Lifetime{Limit: workspace.Duration(8 * h), Idle: workspace.Duration(h)}
	in := func(s session.State) Facts { return Facts{State: s, Created: noon} }

	for name, c := range map[string]struct {
		after time.Duration // noon
		f     Facts
		l     workspace.Lifetime
		e     Entry
		want  []Step
		next  time.Time
		due   time.Time // of the first step
	}{
		"nothing is limited":                       {after: 99 * h, f: running},
		"a new session waits for its warning":      {0, running, limited(8 * h), Entry{}, nil, due.Add(-5 * m), time.Time{}},
		"warned five minutes before":               {8*h - 5*m, running, limited(8 * h), Entry{}, []Step{Warn}, time.Time{}, due},
		"not a moment earlier":                     {8*h - 5*m - 1, running, limited(8 * h), Entry{}, nil, due.Add(-5 * m), time.Time{}},
		"warned a tenth before a short limit":      {9 * m, running, limited(10 * m), Entry{}, []Step{Warn}, time.Time{}, noon.Add(10 * m)},
		"warned once":                              {8*h - m, running, limited(8 * h), warned(due.Add(-5 * m)), nil, due, time.Time{}},
		"acted on when due":                        {8 * h, running, limited(8 * h), warned(due.Add(-5 * m)), []Step{Act}, time.Time{}, due},
		"a late warning stays out as long":         {8 * h, running, limited(8 * h), warned(due.Add(-m)), nil, due.Add(4 * m), time.Time{}},
		"long past, and never warned":              {99 * h, running, limited(8 * h), Entry{}, []Step{Warn}, time.Time{}, due},
		"a warning of another expiry is none":      {8 * h, running, limited(8 * h), Entry{Limit: Progress{Due: due.Add(-h), Warned: noon}}, []Step{Warn}, time.Time{}, due},
		"a failure waits":                          {8*h + 30*time.Second, running, limited(8 * h), Entry{Limit: Progress{Due: due, Warned: noon, Tries: 1, Retry: due.Add(m)}}, nil, due.Add(m), time.Time{}},
		"and is tried again":                       {8*h + m, running, limited(8 * h), Entry{Limit: Progress{Due: due, Warned: noon, Tries: 1, Retry: due.Add(m)}}, []Step{Act}, time.Time{}, due},
		"an extension puts it off":                 {8 * h, running, limited(8 * h), Entry{Extended: due.Add(2 * h)}, nil, due.Add(2*h - 5*m), time.Time{}},
		"an extension shortens nothing":            {7 * h, running, limited(8 * h), Entry{Extended: noon.Add(6 * h)}, nil, due.Add(-5 * m), time.Time{}},
		"acted on and still stopped":               {9 * h, in(session.Stopped), limited(8 * h), Entry{Passed: due}, nil, time.Time{}, time.Time{}},
		"acted on and running again: anew":         {9 * h, running, limited(8 * h), Entry{Passed: due}, []Step{Renew}, time.Time{}, due},
		"acted on, started and paused: anew":       {9 * h, in(session.Paused), limited(8 * h), Entry{Passed: due}, []Step{Renew}, time.Time{}, due},
		"acted on and still paused":                {9 * h, in(session.Paused), with(limited(8*h), "pause"), Entry{Passed: due}, nil, time.Time{}, time.Time{}},
		"a new term ends its own time":             {10 * h, running, limited(8 * h), Entry{Term: noon.Add(9 * h)}, nil, noon.Add(17*h - 5*m), time.Time{}},
		"acted on, then extended":                  {9 * h, running, limited(8 * h), Entry{Passed: due, Extended: noon.Add(11 * h)}, nil, noon.Add(11*h - 5*m), time.Time{}},
		"acted on, then the clock goes back":       {4 * h, in(session.Stopped), limited(8 * h), Entry{Passed: due}, nil, time.Time{}, time.Time{}},
		"started again unseen":                     {20 * h, Facts{State: session.Running, Created: noon, Started: noon.Add(19 * h)}, limited(8 * h), Entry{}, []Step{Renew}, time.Time{}, due},
		"started before it ended":                  {20 * h, Facts{State: session.Running, Created: noon, Started: noon.Add(7 * h)}, limited(8 * h), Entry{}, []Step{Warn}, time.Time{}, due},
		"stop: stopped lets it pass":               {8 * h, in(session.Stopped), limited(8 * h), Entry{}, []Step{Pass}, time.Time{}, due},
		"stop: stopped is not warned":              {8*h - m, in(session.Failed), limited(8 * h), Entry{}, nil, due, time.Time{}},
		"stop: paused is stopped":                  {8 * h, in(session.Paused), limited(8 * h), warned(noon), []Step{Act}, time.Time{}, due},
		"pause: paused lets it pass":               {8 * h, in(session.Paused), with(limited(8*h), "pause"), warned(noon), []Step{Pass}, time.Time{}, due},
		"pause: running is paused":                 {8 * h, running, with(limited(8*h), "pause"), warned(noon), []Step{Act}, time.Time{}, due},
		"delete: stopped is warned of":             {8*h - m, in(session.Stopped), with(limited(8*h), "delete"), Entry{}, []Step{Warn}, time.Time{}, due},
		"delete: created is deleted":               {8 * h, in(session.Created), with(limited(8*h), "delete"), warned(noon), []Step{Act}, time.Time{}, due},
		"idle: warned a tenth before":              {2*h - 5*m, idle, workspace.Lifetime{Idle: workspace.Duration(h)}, Entry{}, []Step{Warn}, time.Time{}, idleDue},
		"idle: acted on":                           {2 * h, idle, both, Entry{Idle: Progress{Due: idleDue, Warned: idleDue.Add(-5 * m)}}, []Step{Act}, time.Time{}, idleDue},
		"idle: held awake":                         {2 * h, idle, workspace.Lifetime{Idle: workspace.Duration(h)}, Entry{Awake: noon.Add(3 * h)}, nil, noon.Add(3*h - 5*m), time.Time{}},
		"idle: not while it is not known":          {9 * h, running, workspace.Lifetime{Idle: workspace.Duration(h)}, Entry{Idle: Progress{Due: idleDue, Warned: noon}}, nil, time.Time{}, time.Time{}},
		"idle: not while it stands still":          {9 * h, Facts{State: session.Paused, Created: noon, IdleSince: noon}, workspace.Lifetime{Idle: workspace.Duration(h)}, Entry{}, nil, time.Time{}, time.Time{}},
		"both: what is due first comes first":      {9 * h, idle, both, Entry{}, []Step{Warn, Warn}, time.Time{}, idleDue},
		"both: one is acted on, the other is past": {9 * h, idle, both, Entry{Passed: due, Idle: Progress{Due: idleDue, Warned: noon}}, []Step{Act, Renew}, time.Time{}, idleDue},
	} {
		t.Run(name, func(t *testing.T) {
			got, next := Decide(noon.Add(c.after), c.f, c.l, c.e)
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i].Step != c.want[i] {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
			if len(got) > 0 && !got[0].Due.Equal(c.due) {
				t.Errorf("due %s, want %s", got[0].Due, c.due)
			}
			if len(got) == 0 && !next.Equal(c.next) {
				t.Errorf("next %s, want %s", next, c.next)
			}
		})
	}
}

func TestTermBeginsWithTheStart(t *testing.T) {
	started := noon.Add(19 * time.Hour)
	var e Entry
	now := noon.Add(20 * time.Hour)
	f := Facts{State: session.Running, Created: noon, Started: started}
	got, _ := Decide(now, f, limited(8*time.Hour), e)
	if len(got) != 1 || got[0].Step != Renew {
		t.Fatalf("got %v", got)
	}
	e.Note(got[0], now)
	if got, next := Decide(now, f, limited(8*time.Hour), e); len(got) != 0 || !next.Equal(started.Add(8*time.Hour-5*time.Minute)) {
		t.Errorf("got %v, next %s", got, next)
	}
}

func TestShiftKeepsWhatWasMeasured(t *testing.T) {
	day := 24 * time.Hour
	e := Entry{
		Term: noon, Extended: noon, Passed: noon, Awake: noon,
		Limit: Progress{Due: noon, Warned: noon}, Idle: Progress{Due: noon, Warned: noon, Retry: noon},
		Rest: &Rest{Since: noon},
	}
	before := e
	e.shift(day)
	for name, got := range map[string]struct {
		at    time.Time
		moved bool
	}{
		"term": {e.Term, false}, "extension": {e.Extended, false}, "passed": {e.Passed, false}, "limit": {e.Limit.Due, false},
		"no retry": {e.Limit.Retry.Add(noon.Sub(time.Time{})), false},
		"awake":    {e.Awake, true}, "limit warned": {e.Limit.Warned, true}, "idle": {e.Idle.Due, true},
		"idle warned": {e.Idle.Warned, true}, "idle retry": {e.Idle.Retry, true}, "rest": {e.Rest.Since, true},
	} {
		if want := noon; got.moved != got.at.Equal(want.Add(day)) {
			t.Errorf("%s: %s", name, got.at)
		}
	}
	if before.Rest.Since != noon {
		t.Error("the copy's rest has moved, too")
	}
}

func TestBackoffGrowsToHalfAnHour(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 5: 16 * time.Minute, 6: 30 * time.Minute, 1 << 30: 30 * time.Minute} {
		if got := backoff(failures); got != want {
			t.Errorf("after %d: %s, want %s", failures, got, want)
		}
	}
}

func TestQuiet(t *testing.T) {
	base := Usage{CPU: time.Hour, Network: 1 << 20}
	for name, c := range map[string]struct {
		cpu  time.Duration
		net  int
		in   time.Duration
		want bool
	}{
		"nothing":                     {0, 0, time.Minute, true},
		"a clock in the panel":        {time.Second, 300, time.Minute, true},
		"a twentieth of a processor":  {3 * time.Second, 0, time.Minute, false},
		"two kilobytes":               {0, 2048, time.Minute, false},
		"as much in an hour":          {3 * time.Second, 2048, time.Hour, true},
		"a blip between two looks":    {time.Second, 300, time.Second, true},
		"counters went back":          {-1, 0, time.Minute, false},
		"bytes went back":             {0, -1, time.Minute, false},
		"the clock went back, silent": {0, 0, -time.Hour, true},
	} {
		to := Usage{base.CPU + c.cpu, uint64(int(base.Network) + c.net)}
		if got := quiet(base, to, c.in); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{8 * time.Hour: "8h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", 10 * time.Second: "10s", 0: "0s"} {
		if got := short(d); got != want {
			t.Errorf("%s: %q", want, got)
		}
	}
}
