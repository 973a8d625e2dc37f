package helperapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// TypeProblem is the media type of problem details (RFC 9457).
const TypeProblem = "application/problem+json"

// Kinds of problems: the values of Problem.Type.
const (
	problemPrefix = "urn:docker-kasm:problem:"
	// KindInvalid means: what was sent is not valid.
	KindInvalid = problemPrefix + "invalid"
	// KindNotFound means: there is no such workspace.
	KindNotFound = problemPrefix + "not-found"
	// KindUnknown means: there is no such task, session or operation.
	KindUnknown = problemPrefix + "unknown"
	// KindExists means: what was to be made is there already.
	KindExists = problemPrefix + "exists"
	// KindConflict means: it was changed by another meanwhile.
	KindConflict = problemPrefix + "conflict"
	// KindState means: not in the state that it is in.
	KindState = problemPrefix + "state"
	// KindBusy means: there is too much to do already.
	KindBusy = problemPrefix + "busy"
	// KindTooLarge means: the request's body is larger than allowed.
	KindTooLarge = problemPrefix + "too-large"
	// KindInternal means: the helper failed.
	KindInternal = problemPrefix + "internal"
)

// Problem is an error as it goes over the wire (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Current is the file that a conflict is with, as it is now.
	Current *Workspace `json:"current,omitempty"`
}

func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return fmt.Sprintf("the helper answered %d %s", p.Status, p.Title)
}

// Is tells whether the problem stands for an error of package roster.
func (p *Problem) Is(target error) bool {
	return target == roster.ErrExists && p.Type == KindExists
}

// Unwrap returns the error of package workspace that the problem stands for.
func (p *Problem) Unwrap() error {
	switch p.Type {
	case KindNotFound:
		return workspace.ErrNotFound
	case KindExists:
		return workspace.ErrExists
	case KindConflict:
		return workspace.ErrConflict
	}
	return nil
}

// AsProblem turns an error into what is sent for it.
func AsProblem(err error) *Problem {
	var p *Problem
	var file *workspace.FileError
	var tooLarge *http.MaxBytesError
	var missing *session.NotFoundError
	var state *session.StateError
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, workspace.ErrNotFound):
		return &Problem{Type: KindNotFound, Title: "Not found", Status: http.StatusNotFound, Detail: err.Error()}
	case errors.Is(err, workspace.ErrExists), errors.Is(err, roster.ErrExists):
		return &Problem{Type: KindExists, Title: "Already there", Status: http.StatusPreconditionFailed, Detail: err.Error()}
	case errors.Is(err, workspace.ErrConflict):
		return &Problem{Type: KindConflict, Title: "Changed meanwhile", Status: http.StatusPreconditionFailed, Detail: err.Error()}
	case errors.Is(err, task.ErrNotFound), errors.As(err, &missing):
		return &Problem{Type: KindUnknown, Title: "Not found", Status: http.StatusNotFound, Detail: err.Error()}
	case errors.Is(err, task.ErrAmbiguous), errors.Is(err, task.ErrInvalid):
		return Invalid(err)
	case errors.Is(err, task.ErrState), errors.As(err, &state):
		return &Problem{Type: KindState, Title: "Not now", Status: http.StatusConflict, Detail: err.Error()}
	case errors.Is(err, task.ErrFull), errors.Is(err, task.ErrClosed):
		return &Problem{Type: KindBusy, Title: "Busy", Status: http.StatusServiceUnavailable, Detail: err.Error()}
	case errors.As(err, &file):
		return Invalid(err)
	case errors.As(err, &tooLarge):
		return &Problem{Type: KindTooLarge, Title: "Too large", Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the request is larger than the %d bytes it may have", tooLarge.Limit)}
	}
	return &Problem{Type: KindInternal, Title: "Internal error", Status: http.StatusInternalServerError, Detail: err.Error()}
}

// Invalid is the problem of a request that is not valid.
func Invalid(err error) *Problem {
	return &Problem{Type: KindInvalid, Title: "Not valid", Status: http.StatusUnprocessableEntity, Detail: err.Error()}
}
