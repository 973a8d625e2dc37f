// Package output prints single objects the way --format asks for.
package output

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/docker/cli/cli/command/formatter"
	"github.com/docker/cli/templates"

	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// FormatHelp describes --format of commands that print single objects.
const FormatHelp = `Format output using a custom template:
'json':             Print in JSON format, one object a line
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates`

// Printer writes one object.
type Printer[T any] func(io.Writer, T) error

// New returns the printer for a --format: people's when it is empty, a line of
// JSON, or a Go template. A template that cannot be parsed is bad usage.
func New[T any](format string, people Printer[T]) (Printer[T], error) {
	switch format {
	case "":
		return people, nil
	case formatter.JSONFormatKey:
		return func(out io.Writer, object T) error { return json.NewEncoder(out).Encode(object) }, nil
	}
	tmpl, err := templates.Parse(format)
	if err != nil {
		return nil, usage.Error(fmt.Errorf("template parsing error: %w", err))
	}
	return func(out io.Writer, object T) error {
		if err := tmpl.Execute(out, object); err != nil {
			return usage.Error(fmt.Errorf("template parsing error: %w", err))
		}
		_, err := fmt.Fprintln(out)
		return err
	}, nil
}
