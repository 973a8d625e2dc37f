package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// State is what a session is doing, in the words of the Sessions page.
type State string

// The states of a session.
const (
	Created  State = "created"
	Running  State = "running"
	Paused   State = "paused"
	Stopped  State = "stopped"
	Failed   State = "failed"
	Deleting State = "deleting"
	// External is that of a server session: its machine is none of the engine's,
	// and nobody here knows what it does.
	External State = "external"
)

// States lists every state, in the order a session passes through them.
func States() []State {
	return []State{Created, Running, Paused, Stopped, Failed, Deleting, External}
}

// Verb is something that can be done with a session.
type Verb string

// The verbs of the Sessions page's menu.
const (
	View   Verb = "view"
	Open   Verb = "open"
	Exec   Verb = "exec"
	Logs   Verb = "logs"
	Start  Verb = "start"
	Pause  Verb = "pause"
	Stop   Verb = "stop"
	Commit Verb = "commit"
	Delete Verb = "delete"
)

// Verbs lists every verb, in the order the menu shows them.
func Verbs() []Verb { return []Verb{View, Open, Exec, Logs, Start, Pause, Stop, Commit, Delete} }

// Allowed lists what may be done with a session in state s. Deleting what is
// being deleted is allowed: it succeeds once the session is gone.
func (s State) Allowed() []Verb {
	switch s {
	case Created, Stopped, Failed:
		return []Verb{View, Logs, Start, Commit, Delete}
	case Running:
		return []Verb{View, Open, Exec, Logs, Pause, Stop, Commit, Delete}
	case Paused:
		return []Verb{View, Logs, Start, Stop, Commit, Delete}
	case Deleting:
		return []Verb{View, Delete}
	case External:
		return []Verb{View, Open, Delete}
	}
	return []Verb{View}
}

// StateError is a refusal: the verb does not apply to the session's state.
type StateError struct {
	Name  string
	State State
	Verb  Verb
}

func (e *StateError) Error() string {
	msg := fmt.Sprintf("cannot %s session %q: it is %s; what can be done now: %s", phrase(e.Verb), e.Name, e.State, words(e.State.Allowed()))
	// What a start makes possible is not to be looked for in the list.
	if (e.Verb == Open || e.Verb == Exec) && slices.Contains(e.State.Allowed(), Start) {
		done := "starts"
		if e.State == Paused {
			done = "resumes"
		}
		msg += fmt.Sprintf("; `docker kasm start %s` %s it", e.Name, done)
	}
	return msg
}

// phrase is a verb where the session is its object.
func phrase(v Verb) string {
	switch v {
	case Exec:
		return "run a command in"
	case Logs:
		return "read the logs of"
	case View, Open, Start, Pause, Stop, Commit, Delete:
	}
	return string(v)
}

// ServerError is a refusal: the verb does not apply to a server session.
type ServerError struct {
	Name string
	Verb Verb
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("cannot %s session %q: it is a session of a server workspace, and this is only applicable to container-based workspaces; what can be done: %s",
		phrase(e.Verb), e.Name, words(External.Allowed()))
}

func words(list []Verb) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}

// Check returns a *StateError when v may not be done with s in its state, and a
// *ServerError when it applies to containers only and s is none. v may be another
// verb than those of the menu, such as "diff".
func (s Session) Check(v Verb) error {
	if s.Kind == Server {
		if slices.Contains(External.Allowed(), v) {
			return nil
		}
		return &ServerError{Name: s.Name, Verb: v}
	}
	if !slices.Contains(Verbs(), v) {
		return nil
	}
	if slices.Contains(s.State.Allowed(), v) {
		return nil
	}
	return &StateError{Name: s.Name, State: s.State, Verb: v}
}

// StateOf maps what an inspection tells of a container, "" where that is
// nothing.
func StateOf(s *container.State) State {
	if s == nil {
		return ""
	}
	return stateOf(s.Status, s.ExitCode)
}

// stateOf maps the engine's state. An exit by SIGINT, SIGKILL or SIGTERM (128
// plus the signal's number) is how an ordinary stop ends, so only other exit
// codes count as failed.
func stateOf(engine container.ContainerState, code int) State {
	switch engine {
	case container.StateCreated:
		return Created
	case container.StateRunning, container.StateRestarting:
		return Running
	case container.StatePaused:
		return Paused
	case container.StateRemoving, container.StateDead:
		return Deleting
	case container.StateExited:
		switch code {
		case 0, 130, 137, 143:
			return Stopped
		}
		return Failed
	}
	return State(engine)
}
