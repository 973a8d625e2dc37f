package doctor

import (
	"context"
	"fmt"

	"github.com/docker-kasm/docker-kasm/internal/push"
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
				found = append(found, failed("docker kasm workspace edit "+f.Name, "%s cannot be read: %s", f.Name, f.Err)...)
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
