package workspace

import (
	"strings"
	"time"

	"github.com/docker/cli/cli/command/formatter"
	"github.com/docker/go-units"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

const defaultTable = "table {{.FriendlyName}}\t{{.Name}}\t{{.Image}}\t{{.Availability}}\t{{.CreatedSince}}\t{{.From}}"

func newFormat(source string, quiet, shared bool) formatter.Format {
	switch {
	case quiet:
		return "{{.Name}}"
	case source == "" || source == formatter.TableFormatKey:
		if shared {
			return defaultTable + "\t{{.Scope}}"
		}
		return defaultTable
	}
	return formatter.Format(source)
}

// needsEngine tells whether a format shows anything only the engine knows.
func needsEngine(f formatter.Format) bool {
	for _, field := range []string{".Availability", ".Reason", ".Created", ".Size", ".ImageID", "json"} {
		if f.Contains(field) {
			return true
		}
	}
	return false
}

type row struct {
	formatter.HeaderContext
	item
	trunc bool
}

func header() formatter.SubHeaderContext {
	return formatter.SubHeaderContext{
		"FriendlyName": "FRIENDLY NAME",
		"Name":         formatter.NameHeader,
		"Type":         "TYPE",
		"Description":  formatter.DescriptionHeader,
		"Categories":   "CATEGORIES",
		"Image":        formatter.ImageHeader,
		"ImageID":      "IMAGE ID",
		"Enabled":      "ENABLED",
		"Availability": "AVAILABILITY",
		"Reason":       "REASON",
		"CreatedSince": formatter.CreatedSinceHeader,
		"CreatedAt":    formatter.CreatedAtHeader,
		"From":         "FROM",
		"Scope":        "SCOPE",
		"Size":         formatter.SizeHeader,
	}
}

// write writes workspaces as one context has them.
func write(ctx formatter.Context, items []item, context string) error {
	headings := &row{}
	headings.Header = contexts.Header(header())
	return ctx.Write(headings, func(format func(formatter.SubContext) error) error {
		for _, r := range rows(ctx, items, context, false) {
			if err := format(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// rows are those of workspaces as one context has them; several is set if other
// contexts are shown, too.
func rows(ctx formatter.Context, items []item, context string, several bool) []formatter.SubContext {
	list := make([]formatter.SubContext, len(items))
	for i, it := range items {
		r := row{item: it, trunc: ctx.Trunc}
		list[i] = &r
		if several || ctx.Format.Contains(".Context") {
			list[i] = &contextRow{row: r, context: context}
		}
	}
	return list
}

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

// MarshalJSON makes one object of all fields, as docker's own tables do.
func (r *row) MarshalJSON() ([]byte, error) { return formatter.MarshalJSON(r) }

func (r *row) FriendlyName() string { return r.ws.DisplayName() }
func (r *row) Name() string         { return r.ws.Name }
func (r *row) Type() string         { return string(r.ws.Type) }
func (r *row) Categories() string   { return strings.Join(r.ws.Categories, ",") }
func (r *row) Enabled() bool        { return r.ws.Enabled }
func (r *row) Availability() string { return string(r.status.State) }
func (r *row) Scope() string        { return r.ws.Scope }
func (r *row) Reason() string       { return r.status.Reason }

func (r *row) Description() string {
	if r.trunc {
		return formatter.Ellipsis(r.ws.Description, 45)
	}
	return r.ws.Description
}

// Image is what the workspace launches: an image, or the address of a server
// or link.
func (r *row) Image() string {
	if r.ws.Type != workspace.TypeContainer {
		return r.ws.URL
	}
	return r.ws.Image
}

func (r *row) ImageID() string {
	if r.trunc && r.status.ImageID != "" {
		return formatter.TruncateID(r.status.ImageID)
	}
	return r.status.ImageID
}

// From is the workspace a snapshot was made from, or else the image.
func (r *row) From() string {
	s := r.ws.Snapshot
	switch {
	case s == nil:
		return ""
	case s.Of != "":
		return s.Of
	}
	return s.Parent
}

// created is when the snapshot was made, or else the image.
func (r *row) created() time.Time {
	if s := r.ws.Snapshot; s != nil && !s.Created.IsZero() {
		return s.Created
	}
	return r.status.Created
}

func (r *row) CreatedSince() string {
	if r.created().IsZero() {
		return ""
	}
	return units.HumanDuration(time.Since(r.created())) + " ago"
}

func (r *row) CreatedAt() string {
	if r.created().IsZero() {
		return ""
	}
	return r.created().Format(time.RFC3339)
}

func (r *row) Size() string {
	if r.status.Size == 0 {
		return ""
	}
	return units.HumanSizeWithPrecision(float64(r.status.Size), 3)
}
