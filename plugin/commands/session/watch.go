package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/screen"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// gone is shown as the state of a session that is in the list no more.
const gone session.State = "gone"

// watch shows the list, and whatever changes in it.
func watch(ctx context.Context, dockerCLI command.Cli, format formatter.Format, options *listOptions) error {
	if options.where.Several() {
		return usage.Error(errors.New("conflicting options: --watch shows the current context only"))
	}
	if options.size || format.Contains(".Size") {
		return usage.Error(errors.New("conflicting options: --watch does not show sizes, as the engine would read all files of all sessions for it each time: `docker kasm stats` does so now and then"))
	}
	rows := func(out io.Writer, list []session.Session) error {
		return write(formatter.Context{Output: display.Writer(out), Format: format, Trunc: !options.noTrunc}, list, dockerCLI.CurrentContext())
	}
	changes := screen.Changes[session.Session]{
		Key:   func(s session.Session) string { return s.Target() },
		Facts: facts,
		Gone: func(s session.Session) session.Session {
			s.State, s.Status, s.Ports = gone, "", nil
			return s
		},
	}
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	news := screen.Rows{Format: format}
	return screen.Show(ctx, dockerCLI, func(ctx context.Context, tell func(screen.View)) error {
		var view screen.View
		var failed error
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := session.Watch(ctx, dockerCLI.Client(), session.ListOptions{All: options.all, Filters: options.filter.Value(), Roster: where, ByImage: catalog.ByImage(ctx)}, func(n session.News) {
			view.News, view.Problem = nil, ""
			if n.Err != nil {
				view.Problem = fmt.Sprintf("the engine cannot be followed, and is tried again: %s", n.Err)
				tell(view)
				return
			}
			view.Render = func(out io.Writer) error { return rows(out, n.Sessions) }
			if changed := changes.Next(n.Sessions); len(changed) > 0 || !news.Begun() {
				if view.News, failed = news.More(func(out *bytes.Buffer) error { return rows(out, changed) }); failed != nil {
					cancel()
					return
				}
			}
			tell(view)
		})
		if failed != nil {
			return failed
		}
		return badFilter(err)
	})
}

// facts is a session without how long it has been so.
func facts(s session.Session) session.Session {
	_, health, _ := strings.Cut(s.Status, "(")
	s.Status = health
	if s.State != session.Running {
		s.Status = ""
	}
	return s
}
