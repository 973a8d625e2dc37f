package commands

import (
	"errors"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	"github.com/docker/go-units"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
)

// runPushList lists the pushes that wait to be resumed, on whatever engine.
func runPushList(dockerCLI command.Cli, options pushOptions) error {
	// Files that cannot be read are reported after those that can.
	list, bad := catalog.Pushes().List()
	format := formatter.Format(options.format)
	switch {
	case options.quiet:
		format = "{{.Image}}"
	case options.format == "" || options.format == formatter.TableFormatKey:
		format = "table {{.Image}}\t{{.ImageID}}\t{{.Context}}\t{{.Since}}\t{{.Attempts}}\t{{.Reason}}"
	}
	header := &pushRow{}
	header.Header = formatter.SubHeaderContext{
		"Image": formatter.ImageHeader, "ImageID": "IMAGE ID", "EngineID": "ENGINE ID", "Context": "CONTEXT", "Workspace": "WORKSPACE",
		"Since": "LAST TRIED", "At": "LAST TRIED", "Attempts": "ATTEMPTS", "Reason": "REASON",
	}
	table := formatter.Context{Output: display.Writer(dockerCLI.Out()), Format: format, Trunc: format.IsTable()}
	err := table.Write(header, func(write func(formatter.SubContext) error) error {
		for _, rec := range list {
			if err := write(&pushRow{trunc: table.Trunc, rec: rec}); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, bad)
}

// pushRow is a push that waits. In tables, long fields are cut.
type pushRow struct {
	formatter.HeaderContext
	trunc bool
	rec   push.Record
}

// MarshalJSON makes one object of all fields, as docker's own tables do.
func (r *pushRow) MarshalJSON() ([]byte, error) { return formatter.MarshalJSON(r) }

func (r *pushRow) Image() string     { return r.rec.Image }
func (r *pushRow) EngineID() string  { return r.rec.EngineID }
func (r *pushRow) Context() string   { return r.rec.Context }
func (r *pushRow) Workspace() string { return r.rec.Workspace }
func (r *pushRow) Attempts() int     { return r.rec.Attempts }
func (r *pushRow) At() string        { return r.rec.Time.Format(time.RFC3339) }
func (r *pushRow) Since() string     { return units.HumanDuration(time.Since(r.rec.Time)) + " ago" }

func (r *pushRow) ImageID() string {
	if r.trunc {
		return formatter.TruncateID(r.rec.ImageID)
	}
	return r.rec.ImageID
}

func (r *pushRow) Reason() string {
	if r.trunc {
		return formatter.Ellipsis(r.rec.Reason, 60)
	}
	return r.rec.Reason
}
