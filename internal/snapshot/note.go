package snapshot

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// note is what a lock says about its snapshot, for whoever has to take over.
type note struct {
	// state is what the session was in before the snapshot touched it.
	state session.State
	// pausing is set while the engine is at a commit that it holds the session
	// still for, committing while it is at one that shows in nothing: it may go
	// on with either if nobody waits for it.
	pausing, committing bool
	// within is how long such a commit may take, by what it has to write.
	within time.Duration
	// holding is set once the snapshot itself holds the session still.
	holding bool
}

const (
	notePausing    = "pausing"
	noteCommitting = "committing"
	noteHolding    = "holding"
	noteWithin     = "within="
)

func (n note) String() string {
	words := []string{string(n.state)}
	for _, w := range []struct {
		set  bool
		word string
	}{{n.pausing, notePausing}, {n.committing, noteCommitting}, {n.holding, noteHolding}} {
		if w.set {
			words = append(words, w.word)
		}
	}
	if n.within > 0 {
		words = append(words, noteWithin+n.within.String())
	}
	return strings.Join(words, " ")
}

// parseNote passes over words that it does not know.
func parseNote(s string) note {
	state, rest, _ := strings.Cut(s, " ")
	words := strings.Fields(rest)
	n := note{
		state: session.State(state), pausing: slices.Contains(words, notePausing),
		committing: slices.Contains(words, noteCommitting), holding: slices.Contains(words, noteHolding),
	}
	for _, w := range words {
		if text, ok := strings.CutPrefix(w, noteWithin); ok {
			n.within, _ = time.ParseDuration(text)
		}
	}
	return n
}

// slowest is the rate, in bytes a second, that a commit writes at the least.
const slowest = 20_000_000

// within is how long a commit of that many bytes may take.
func within(bytes int64) time.Duration {
	return time.Duration(bytes/slowest) * time.Second
}

// tell notes what has changed in the lock and with the guard. Where that fails
// nothing is noted.
func (j *job) tell(ctx context.Context, change func(*note)) error {
	next := j.note
	change(&next)
	if next == j.note {
		return nil
	}
	if err := j.onEngine.Note(ctx, next.String()); err != nil {
		return err
	}
	j.note, j.held = next, j.onEngine.Holder()
	if j.guard != nil {
		j.guard.Held(j.held)
	}
	return nil
}
