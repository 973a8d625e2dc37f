package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// WorkspaceFile is a file of a catalog.
type WorkspaceFile struct {
	Name string
	// Err says why no workspace can be read from it, nil if one can.
	Err error
}

// Workspaces tells which files of the catalogs cannot be read. What files returns
// with an error is all that could be listed; it is to leave the engine alone where
// that does not answer.
func (e *Engine) Workspaces(files func(ctx context.Context, askEngine bool) ([]WorkspaceFile, error)) Check {
	return Check{"workspaces", func(ctx context.Context) []Finding {
		_, err := e.ping()
		list, err := files(ctx, err == nil)
		var found []Finding
		for _, f := range list {
			if f.Err != nil {
				advice := "docker kasm workspace edit " + f.Name
				if workspace.ValidName(f.Name) != nil {
					advice = "rename the file, or remove it" // no command takes the name
				}
				found = append(found, failed(advice, "%s cannot be read: %s", f.Name, f.Err)...)
			}
		}
		if err != nil {
			found = append(found, failed("", "not all catalogs could be read: %s", err)...)
		}
		if len(found) > 0 {
			return found
		}
		return ok("%s, all readable", count(len(list), "workspace file"))
	}}
}

// Sessions tells which records of sessions cannot be read: the containers that were
// adopted, and the sessions of servers. records returns those that can, and the errors
// of all others joined; it is to leave the engine alone where that does not answer.
func (e *Engine) Sessions(records func(ctx context.Context, askEngine bool) ([]roster.Record, error)) Check {
	return Check{"sessions", func(ctx context.Context) []Finding {
		_, err := e.ping()
		list, err := records(ctx, err == nil)
		var found []Finding
		for _, err := range causes(err) {
			var file *roster.FileError
			if errors.As(err, &file) {
				found = append(found, failed("mend the file, or remove it", "the record of a session %s cannot be read: %s", file.Path, file.Err)...)
				continue
			}
			found = append(found, failed("", "%s", err)...)
		}
		if len(found) > 0 {
			return found
		}
		return ok("%s, all readable", count(len(list), "record"))
	}}
}

// causes are the errors that were joined.
func causes(err error) []error {
	if err == nil {
		return nil
	}
	many, joined := err.(interface{ Unwrap() []error })
	if !joined {
		return []error{err}
	}
	var all []error
	for _, err := range many.Unwrap() {
		all = append(all, causes(err)...)
	}
	return all
}

// Pushes tells which pushes have failed and wait to be resumed.
func Pushes(records push.Records) Check {
	return Check{"pushes", func(context.Context) []Finding {
		list, err := records.List()
		var found []Finding
		for _, r := range list {
			found = append(found, warning("docker kasm push "+r.Image, "the push of %s waits to be resumed: %s", r.Image, r.Reason)...)
		}
		if err != nil {
			found = append(found, warning("", "%s", err)...)
		}
		if len(found) > 0 {
			return found
		}
		return ok("none waits to be resumed")
	}}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
