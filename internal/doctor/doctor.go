// Package doctor looks for what keeps docker kasm from working, and says how to
// mend it. It changes nothing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Status says how bad a finding is.
type Status string

// The statuses, from good to bad.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
)

// Finding is what a check has found.
type Finding struct {
	// Check is the name of the check.
	Check  string
	Status Status
	// Text says what there is, in one line.
	Text string
	// Advice says what to do, "" where there is nothing to do.
	Advice string `json:",omitempty"`
}

// Check looks at one thing. It makes one finding or more, without their names.
type Check struct {
	Name string
	Look func(ctx context.Context) []Finding
}

// Run makes all checks at once and tells of what they find, in their order, as soon
// as it is known. A check that has not ended after so long has failed, whatever it
// waits for. Run returns early only when ctx ends.
func Run(ctx context.Context, limit time.Duration, checks []Check, tell func(Finding) error) error {
	results := make([]chan []Finding, len(checks))
	for i, c := range checks {
		results[i] = make(chan []Finding, 1)
		go func() { results[i] <- c.within(ctx, limit) }()
	}
	for i, c := range checks {
		var found []Finding
		select {
		case <-ctx.Done():
			return ctx.Err()
		case found = <-results[i]:
		}
		for _, f := range found {
			f.Check = c.Name
			if err := tell(f); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// within returns after limit, also where the check does not.
func (c Check) within(ctx context.Context, limit time.Duration) []Finding {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found := make(chan []Finding, 1)
	go func() { found <- c.Look(ctx) }()
	select {
	case f := <-found:
		return f
	case <-ctx.Done():
	}
	select {
	case f := <-found: // it was as quick
		return f
	default:
		return failed("see what it waits for; --timeout gives it longer", "it has not ended after %s", limit)
	}
}

func ok(format string, args ...any) []Finding {
	return []Finding{{Status: OK, Text: fmt.Sprintf(format, args...)}}
}

func warning(advice, format string, args ...any) []Finding {
	return []Finding{{Status: Warning, Text: oneLine(fmt.Sprintf(format, args...)), Advice: advice}}
}

func failed(advice, format string, args ...any) []Finding {
	return []Finding{{Status: Failed, Text: oneLine(fmt.Sprintf(format, args...)), Advice: advice}}
}

// oneLine puts the lines of an error behind each other: ssh says more than one, and ends
// each in a carriage return.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' })
	return strings.Join(lines, " ")
}

// timedOut tells whether an error is that of a check whose time is up.
func timedOut(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
