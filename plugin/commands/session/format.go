package session

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli/command/formatter"
	"github.com/docker/go-units"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

// usual tells whether a format is the table that is shown where none is asked for.
func usual(source string, quiet bool) bool {
	return !quiet && (source == "" || source == formatter.TableFormatKey)
}

// newFormat is what rows are shown by. kinds adds a column to the usual table that
// tells which sessions this plugin has not made.
func newFormat(source string, quiet, size, kinds bool) formatter.Format {
	if quiet {
		return formatter.DefaultQuietFormat
	}
	if !usual(source, quiet) {
		return formatter.Format(source)
	}
	columns := []string{"{{.ID}}", "{{.Name}}", "{{.Workspace}}", "{{.Image}}", "{{.State}}"}
	if kinds {
		columns = append(columns, "{{.Origin}}")
	}
	columns = append(columns, "{{.CreatedSince}}", "{{.Address}}")
	if size {
		columns = append(columns, "{{.Size}}")
	}
	return formatter.Format("table " + strings.Join(columns, "\t"))
}

var whole = regexp.MustCompile(`\bjson +[.$] *[)|}]`)

// shows tells whether a format shows a field, which may be costly to find out.
func shows(format formatter.Format, field string) bool {
	return format.IsJSON() || format.Contains("."+field) || whole.MatchString(string(format))
}

// foreign tells whether there are sessions that this plugin has not made.
func foreign(sessions []session.Session) bool {
	return slices.ContainsFunc(sessions, func(s session.Session) bool { return s.Kind != session.Managed })
}

// row is a session as the formatter shows it; its methods are the fields of
// templates and of JSON.
type row struct {
	formatter.HeaderContext
	trunc bool
	s     session.Session
}

func header() formatter.SubHeaderContext {
	return formatter.SubHeaderContext{
		"ID":           formatter.ContainerIDHeader,
		"SessionID":    "SESSION ID",
		"Name":         formatter.NameHeader,
		"Kind":         "KIND",
		"Origin":       "KIND",
		"Workspace":    "WORKSPACE",
		"User":         "USER",
		"Image":        formatter.ImageHeader,
		"State":        formatter.StateHeader,
		"Status":       formatter.StatusHeader,
		"ExitCode":     "EXIT CODE",
		"CreatedSince": formatter.CreatedSinceHeader,
		"CreatedAt":    formatter.CreatedAtHeader,
		"Expires":      "EXPIRES",
		"Address":      "ADDRESS",
		"Ports":        formatter.PortsHeader,
		"Size":         formatter.SizeHeader,
		"Labels":       formatter.LabelsHeader,
	}
}

// write writes the sessions of one context.
func write(ctx formatter.Context, sessions []session.Session, context string) error {
	headings := &row{}
	headings.Header = contexts.Header(header())
	return ctx.Write(headings, func(format func(formatter.SubContext) error) error {
		for _, s := range sessions {
			var r formatter.SubContext = &row{trunc: ctx.Trunc, s: s}
			if ctx.Format.Contains(".Context") {
				r = &contextRow{row: row{trunc: ctx.Trunc, s: s}, context: context}
			}
			if err := format(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// MarshalJSON makes one object of all fields, as docker's own tables do.
func (r *row) MarshalJSON() ([]byte, error) { return formatter.MarshalJSON(r) }

// contextRow is a row that tells its context.
type contextRow struct {
	row
	context string
	// Error is that of a context that failed, whose row is another.
	Error string
}

// MarshalJSON makes one object of all fields that are methods.
func (r *contextRow) MarshalJSON() ([]byte, error) { return formatter.MarshalJSON(r) }

func (r *contextRow) Context() string { return r.context }

// ID is the container's id, or that of a session without one.
func (r *row) ID() string {
	if r.trunc {
		return formatter.TruncateID(r.s.Target())
	}
	return r.s.Target()
}

func (r *row) SessionID() string { return display.Line(r.s.SessionID) }
func (r *row) Name() string      { return r.s.Name }
func (r *row) Kind() string      { return string(r.s.Kind) }
func (r *row) Workspace() string { return display.Line(r.s.Workspace) }
func (r *row) User() string      { return display.Line(r.s.User) }
func (r *row) State() string     { return string(r.s.State) }
func (r *row) Status() string    { return r.s.Status }
func (r *row) ExitCode() int     { return r.s.ExitCode }
func (r *row) Address() string   { return display.Line(r.s.Address()) }

// Origin is the kind in words for people.
func (r *row) Origin() string {
	if r.s.Kind == session.Agent {
		return kindText(r.s.Kind)
	}
	return string(r.s.Kind)
}

// Image is the reference the session was created from; an id is shortened.
func (r *row) Image() string {
	if r.trunc && strings.HasPrefix(r.s.Image, "sha256:") {
		return formatter.TruncateID(r.s.Image)
	}
	return r.s.Image
}

func (r *row) CreatedSince() string {
	return units.HumanDuration(time.Now().UTC().Sub(r.s.Created)) + " ago"
}

func (r *row) CreatedAt() string { return r.s.Created.Format(time.RFC3339) }

func (r *row) Expires() string {
	if r.s.Expires.IsZero() {
		return ""
	}
	return r.s.Expires.Format(time.RFC3339)
}

func (r *row) Ports() string { return formatter.DisplayablePorts(r.s.Ports) }

// Size is what the session has written, and with it the size of its image.
func (r *row) Size() string {
	if r.s.SizeRw < 0 {
		return ""
	}
	written := units.HumanSizeWithPrecision(float64(r.s.SizeRw), 3)
	if r.s.SizeRootFs <= 0 {
		return written
	}
	return fmt.Sprintf("%s (virtual %s)", written, units.HumanSizeWithPrecision(float64(r.s.SizeRootFs), 3))
}

func (r *row) Labels() string {
	labels := make([]string, 0, len(r.s.Labels))
	for k, v := range r.s.Labels {
		labels = append(labels, display.Line(k+"="+v))
	}
	slices.Sort(labels)
	return strings.Join(labels, ",")
}
