package snapshot

import (
	"fmt"
	"time"

	"github.com/docker/docker/pkg/jsonmessage"
)

// Step is one part of the pipeline.
type Step string

// The steps, in their order.
const (
	StepPlan      Step = "plan"
	StepLock      Step = "lock"
	StepPreflight Step = "preflight"
	StepCommit    Step = "commit"
	StepClean     Step = "clean"
	StepVerify    Step = "verify"
	StepPush      Step = "push"
	StepRegister  Step = "register"
	StepDelete    Step = "delete"
)

// EventType tells what an Event reports.
type EventType string

// The types of events. Each step has one Started and one Done or FailedStep,
// with any number of the others in between.
const (
	Started    EventType = "started"
	Info       EventType = "info"
	Warning    EventType = "warning"
	Progress   EventType = "progress"
	Done       EventType = "done"
	FailedStep EventType = "failed"
)

// Event reports the progress of a snapshot.
type Event struct {
	Time    time.Time `json:"Time"`
	Step    Step      `json:"Step"`
	Type    EventType `json:"Type"`
	Message string    `json:"Message,omitempty"`
	// Layer is the engine's own message about a layer that is being pushed.
	Layer *jsonmessage.JSONMessage `json:"Layer,omitempty"`
}

// Sink receives the events of a snapshot, one at a time and in order.
type Sink func(Event)

func (j *job) emit(t EventType, message string) {
	if t == Warning {
		j.result.Warnings = append(j.result.Warnings, message)
	}
	if j.Sink != nil {
		j.Sink(Event{Time: j.Now(), Step: j.step, Type: t, Message: message})
	}
}

func (j *job) info(format string, args ...any) { j.emit(Info, fmt.Sprintf(format, args...)) }

func (j *job) warn(format string, args ...any) { j.emit(Warning, fmt.Sprintf(format, args...)) }
