// Package task keeps and runs background tasks: a journal on disk that outlives
// the helper, and a runner with limits. It knows nothing of what a task does:
// that is a function, registered for a kind.
package task

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// State says how far a task has come.
type State string

const (
	// Queued means: it runs as soon as a place and its key are free.
	Queued State = "queued"
	// Running means: its function has been called and has not returned.
	Running State = "running"
	// Waiting means: it needs secrets and goes on by a retry that brings them.
	Waiting State = "waiting"
	// Done means: its function has returned without an error.
	Done State = "done"
	// Failed means: its function has returned an error; Reason tells which.
	Failed State = "failed"
	// Cancelled means: somebody asked for its end.
	Cancelled State = "cancelled"
	// Interrupted means: the helper ended while it ran; Step tells in which step.
	Interrupted State = "interrupted"
)

// States are all states, in the order in which a task may come to them.
func States() []State {
	return []State{Queued, Running, Waiting, Done, Failed, Cancelled, Interrupted}
}

// Ended tells whether nothing more happens to a task by itself, and whether it
// may be removed. One that waits for secrets has not ended.
func (s State) Ended() bool {
	switch s {
	case Done, Failed, Cancelled, Interrupted:
		return true
	case Queued, Running, Waiting:
	}
	return false
}

// Task is one piece of work in the background, as it is in the journal. All of
// it is written to disk: none of its fields may hold a secret.
type Task struct {
	// ID is 12 hexadecimal digits.
	ID string `json:"ID"`
	// Kind chooses the function: "snapshot", "pull".
	Kind string `json:"Kind"`
	// Subject is what people know the task by: a session's name, an image.
	Subject string `json:"Subject,omitempty"`
	// Key excludes: of the tasks with one key only one runs at a time. "" excludes
	// none.
	Key string `json:"Key,omitempty"`
	// Owner is who asked for it.
	Owner string `json:"Owner,omitempty"`
	State State  `json:"State"`
	// Step is the one that runs, or that ran last in the last attempt; "" before
	// the first.
	Step string `json:"Step,omitempty"`
	// Reason is why it failed, waits or was ended, in one line.
	Reason string `json:"Reason,omitempty"`
	// Attempts counts how often it was begun.
	Attempts int `json:"Attempts"`
	// WithSecrets is set when secrets came with it, which a helper that starts
	// again no longer has.
	WithSecrets bool `json:"WithSecrets,omitempty"`

	Created time.Time `json:"Created"`
	// Queued is when it got its place in the queue: Created, or the last retry.
	Queued time.Time `json:"Queued"`
	// Started is when the last attempt began, zero before the first.
	Started time.Time `json:"Started,omitzero"`
	// Ended is zero until it has. Of an interrupted task it is when a helper
	// found it.
	Ended time.Time `json:"Ended,omitzero"`

	// Request is what was asked for. It must not hold secrets: whoever submits
	// it sees to that.
	Request json.RawMessage `json:"Request,omitempty"`
	// Result is what has come of it so far, also of one that failed.
	Result json.RawMessage `json:"Result,omitempty"`
	// Checkpoint is what its function left for the next attempt.
	Checkpoint json.RawMessage `json:"Checkpoint,omitempty"`
}

// clone is a copy that shares nothing that can be changed.
func (t Task) clone() Task {
	t.Request, t.Result, t.Checkpoint = slices.Clone(t.Request), slices.Clone(t.Result), slices.Clone(t.Checkpoint)
	return t
}

var (
	idForm   = regexp.MustCompile(`^[0-9a-f]{12}$`)
	kindForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
)

// ValidID tells whether id has the form of a task's id, which is also safe as
// the name of a file.
func ValidID(id string) bool { return idForm.MatchString(id) }

func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // ends the program rather than fail
	return hex.EncodeToString(b[:])
}

// The most that a task may carry, in bytes.
const (
	maxText    = 512
	maxRequest = 256 << 10
	maxData    = 1 << 20
	maxReason  = 1000
)

// checkText refuses what would not be one line on a terminal.
func checkText(what, text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%s of a task has %d bytes: at most %d are kept", what, len(text), maxText)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%s of a task %q has control characters", what, text)
	}
	return nil
}

// compact checks JSON from outside and returns a copy of it without spaces, as
// the journal gives it back.
func compact(what string, data json.RawMessage, most int) (json.RawMessage, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		return nil, fmt.Errorf("%s of a task is no JSON: %w", what, err)
	}
	if out.Len() > most {
		return nil, fmt.Errorf("%s of a task has %d bytes: at most %d are kept", what, out.Len(), most)
	}
	return out.Bytes(), nil
}

// oneLine makes a line for a table of any text.
func oneLine(text string) string {
	lines := strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool { return r == '\n' || r == '\r' })
	line := strings.Join(strings.FieldsFunc(strings.Join(lines, "; "), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if runes := []rune(line); len(runes) > maxReason {
		return string(runes[:maxReason-1]) + "…"
	}
	return line
}
