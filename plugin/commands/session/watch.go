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
func watch(ctx context.Context, dockerCLI command.Cli, options *listOptions, wanted session.ListOptions) error {
	if options.where.Several() {
		return usage.Error(errors.New("conflicting options: --watch shows the current context only"))
	}
	if wanted.Size {
		return usage.Error(errors.New("conflicting options: --watch does not show sizes, as the engine would read all files of all sessions for it each time: `docker kasm stats` does so now and then"))
	}
	format := func(kinds bool) formatter.Format { return newFormat(options.format, options.quiet, false, kinds) }
	rows := func(out io.Writer, list []session.Session, kinds bool) error {
		return write(formatter.Context{Output: display.Writer(out), Format: format(kinds), Trunc: !options.noTrunc}, list, dockerCLI.CurrentContext())
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
	wanted.Roster = where
	news, kinds := screen.Rows{Format: format(false)}, false
	return screen.Show(ctx, dockerCLI, func(ctx context.Context, tell func(screen.View)) error {
		var view screen.View
		var failed error
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := session.Watch(ctx, dockerCLI.Client(), wanted, catalog.Sessions().Changes(ctx), func(n session.News) {
			view.News, view.Problem = nil, problem(n)
			if n.Err != nil {
				tell(view)
				return
			}
			view.Render = func(out io.Writer) error { return rows(out, n.Sessions, foreign(n.Sessions)) }
			changed := changes.Next(n.Sessions)
			if !kinds && foreign(changed) {
				// The column comes with the first of them, below new headings.
				kinds, news = true, screen.Rows{Format: format(true)}
			}
			if len(changed) > 0 || !news.Begun() {
				if view.News, failed = news.More(func(out *bytes.Buffer) error { return rows(out, changed, kinds) }); failed != nil {
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

// problem says why sessions may be others than those shown, "" if they are not.
func problem(n session.News) string {
	switch {
	case n.Err != nil:
		return fmt.Sprintf("the engine cannot be followed, and is tried again: %s", n.Err)
	case n.Unread != nil:
		return n.Unread.Error()
	}
	return ""
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
