package task

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound  = errors.New("no such task")
	ErrAmbiguous = errors.New("more than one task")
	// ErrState is a refusal because of the task's state.
	ErrState = errors.New("not in this state")
	ErrFull  = errors.New("too many tasks wait")
	// ErrInvalid is a task that cannot be submitted as it is.
	ErrInvalid = errors.New("not a valid task")
	// ErrClosed means: the store takes no more tasks, the helper is ending.
	ErrClosed = errors.New("the helper is ending")
	// ErrInUse means: another process has the folder.
	ErrInUse = errors.New("in use by another helper")
	// ErrNeedsSecrets is returned, wrapped, by a task's function that cannot go on
	// without secrets, or with those it was given: the task waits for a retry.
	ErrNeedsSecrets = errors.New("credentials are needed")
)

// Causes of the end of a task's context, for context.Cause.
var (
	ErrCancelled = errors.New("cancelled")
	ErrShutdown  = errors.New("the helper was shut down")
)

// NotFoundError says that no task has the given id. It is an ErrNotFound.
type NotFoundError struct {
	ID string
	// Near are ids that begin alike, three at most.
	Near []string
}

func (e *NotFoundError) Error() string {
	message := fmt.Sprintf("no task %q", e.ID)
	if len(e.Near) == 0 {
		return message + ": `docker kasm task ls -a` lists them all"
	}
	return message + ": did you mean " + strings.Join(e.Near, " or ") + "?"
}

// Unwrap returns ErrNotFound.
func (*NotFoundError) Unwrap() error { return ErrNotFound }

// AmbiguousError says that several ids begin with what was given. It is an
// ErrAmbiguous.
type AmbiguousError struct {
	Prefix string
	// IDs are those that begin so, sorted.
	IDs []string
}

func (e *AmbiguousError) Error() string {
	if e.Prefix == "" {
		return "no id of a task was given"
	}
	return "id " + strconv.Quote(e.Prefix) + " is not unique: " + strconv.Itoa(len(e.IDs)) + " tasks begin with it; give more digits"
}

// Unwrap returns ErrAmbiguous.
func (*AmbiguousError) Unwrap() error { return ErrAmbiguous }

// StateError refuses what cannot be done to a task in its state. It is an
// ErrState.
type StateError struct {
	ID string
	// Verb is what was asked for: cancel, retry, remove.
	Verb  string
	State State
	// Hint says what would work.
	Hint string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("%s task %s: it is %s: %s", e.Verb, e.ID, e.State, e.Hint)
}

// Unwrap returns ErrState.
func (*StateError) Unwrap() error { return ErrState }

// refuse makes the error for a verb that does not fit the state.
func refuse(verb string, t Task) error {
	hint := "nothing is left to stop"
	switch t.State {
	case Queued, Waiting:
		hint = fmt.Sprintf("`docker kasm task cancel %s` ends it first", t.ID)
		if verb == "retry" {
			hint = "it runs by itself when its turn comes"
		}
	case Running:
		hint = fmt.Sprintf("`docker kasm task cancel %s` ends it first", t.ID)
	case Done:
		if verb == "retry" {
			hint = "nothing is left to do; start a new one"
		}
	case Failed, Cancelled, Interrupted:
		hint = fmt.Sprintf("`docker kasm task retry %s` goes on with it, `docker kasm task rm %s` removes it", t.ID, t.ID)
	}
	return &StateError{ID: t.ID, Verb: verb, State: t.State, Hint: hint}
}
