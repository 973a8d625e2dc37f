package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/screen"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// gone is shown as the state of a session that is in the list no more.
const gone session.State = "gone"

// watch shows the list, and whatever changes in it. wanted is what to list in a
// context; sizes are not.
func watch(ctx context.Context, dockerCLI command.Cli, options *listOptions, sizes bool, wanted func(context.Context, command.Cli) session.ListOptions) error {
	if sizes {
		return usage.Error(errors.New("conflicting options: --watch does not show sizes, as the engine would read all files of all sessions for it each time: `docker kasm stats` does so now and then"))
	}
	if options.where.Several() {
		return watchSeveral(ctx, dockerCLI, options, wanted)
	}
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	list := wanted(ctx, dockerCLI)
	list.Roster = where
	format := func(kinds bool) formatter.Format { return newFormat(options.format, options.quiet, false, kinds) }
	shown := newLive(format, func(out formatter.Context, answers []contexts.Answer[listed]) error {
		out.Trunc = !options.noTrunc
		var sessions []session.Session
		for _, a := range answers {
			sessions = a.Result.sessions
		}
		return write(out, sessions, dockerCLI.CurrentContext())
	})
	return screen.Show(ctx, dockerCLI, func(ctx context.Context, tell func(screen.View)) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		here := make([]contexts.Answer[listed], 1)
		err := session.Watch(ctx, dockerCLI.Client(), list, catalog.Sessions().Changes(ctx), func(n session.News) {
			if n.Err == nil {
				here[0].Result = listed{n.Sessions, n.Unread}
			}
			view, err := shown.next(here)
			if err != nil {
				cancel(err)
				return
			}
			view.Problem = problem(n)
			tell(view)
		})
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return badFilter(err)
	})
}

// watchSeveral is watch in several contexts. What is known of one that fails stays,
// with a row that says why it fails.
func watchSeveral(ctx context.Context, dockerCLI command.Cli, options *listOptions, wanted func(context.Context, command.Cli) session.ListOptions) error {
	set, err := options.where.Open(dockerCLI)
	if err != nil {
		return err
	}
	defer set.Close()
	format := func(kinds bool) formatter.Format { return severalFormat(options, kinds) }
	shown := newLive(format, func(out formatter.Context, answers []contexts.Answer[listed]) error {
		// Errors are shown whole; a terminal's lines are cut to its width.
		return contexts.Draw(severalTable(options, out), answers, severalRows(!options.noTrunc))
	})
	shown.table = severalTable(options, formatter.Context{Format: format(false)})
	return screen.Show(ctx, dockerCLI, func(ctx context.Context, tell func(screen.View)) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		answers := contexts.Unasked[listed](set)
		var mu sync.Mutex
		place := func(c *contexts.Context) int {
			return slices.IndexFunc(answers, func(a contexts.Answer[listed]) bool { return a.Context == c })
		}
		update := func(c *contexts.Context, change func(*contexts.Answer[listed])) {
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				return
			}
			change(&answers[place(c)])
			view, err := shown.next(answers)
			if err != nil {
				cancel(err)
				return
			}
			tell(view)
		}
		records := relay(ctx, catalog.Sessions().Changes(ctx), len(answers))
		contexts.Follow(ctx, set, func(ctx context.Context, c *contexts.Context, answered func()) error {
			return follow(ctx, c, wanted(ctx, c), records[place(c)], func(l listed) {
				answered()
				update(c, func(a *contexts.Answer[listed]) { a.Result, a.Err = l, nil })
			})
		}, func(c *contexts.Context, err error) {
			if bad := badFilter(err); bad != err { //nolint:errorlint // is it another one
				cancel(bad)
			}
			update(c, func(a *contexts.Answer[listed]) { a.Err = err })
		})
		// From here on nobody tells of views.
		mu.Lock()
		defer mu.Unlock()
		return context.Cause(ctx)
	})
}

// follow tells of the sessions of one context until that fails.
func follow(ctx context.Context, dockerCLI command.Cli, list session.ListOptions, records <-chan struct{}, tell func(listed)) error {
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	list.Roster = where
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = session.Watch(ctx, dockerCLI.Client(), list, records, func(n session.News) {
		if n.Err != nil {
			cancel(n.Err)
			return
		}
		tell(listed{n.Sessions, n.Unread})
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// relay makes channels, each of which tells what changed tells until ctx ends.
func relay(ctx context.Context, changed <-chan struct{}, channels int) []chan struct{} {
	to := make([]chan struct{}, channels)
	for i := range to {
		to[i] = make(chan struct{}, 1)
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			for _, c := range to {
				select {
				case c <- struct{}{}:
				default: // one is on its way
				}
			}
		}
	}()
	return to
}

// live is a list that is shown as it changes.
type live struct {
	format func(kinds bool) formatter.Format
	write  func(formatter.Context, []contexts.Answer[listed]) error
	// table is what shows contexts that failed, where one can.
	table contexts.Table

	changes screen.Changes[entry]
	// failures are what was shown last of each context.
	failures map[*contexts.Context]string
	// kinds is set once news have the column for it.
	kinds bool
	news  screen.Rows
}

// entry is a session of one of the contexts that are shown.
type entry struct {
	answer int
	session.Session
}

// newLive shows lists by a format; write writes them.
func newLive(format func(kinds bool) formatter.Format, write func(formatter.Context, []contexts.Answer[listed]) error) *live {
	return &live{
		format: format, write: write, failures: map[*contexts.Context]string{}, news: screen.Rows{Format: format(false)},
		changes: screen.Changes[entry]{
			Key: func(e entry) string {
				if everywhere(e.Session) {
					return e.SessionID
				}
				return strconv.Itoa(e.answer) + "/" + e.Target()
			},
			Facts: func(e entry) entry { return entry{Session: facts(e.Session)} },
			Gone: func(e entry) entry {
				e.State, e.Status, e.Ports = gone, "", nil
				return e
			},
		},
	}
}

// next is the view of what the contexts have now.
func (l *live) next(answers []contexts.Answer[listed]) (view screen.View, err error) {
	answers = slices.Clone(answers)
	render := func(out io.Writer, answers []contexts.Answer[listed], kinds bool) error {
		return l.write(formatter.Context{Output: display.Writer(out), Format: l.format(kinds)}, answers)
	}
	view.Render = func(out io.Writer) error { return render(out, answers, strangers(answers)) }
	if problem := errors.Join(append(unread(answers), contexts.Unseen(l.table, answers))...); problem != nil {
		view.Problem = problem.Error()
	}
	changed := l.changed(answers)
	if !l.kinds && strangers(changed) {
		// The column comes with the first of them, below new headings.
		l.kinds, l.news = true, screen.Rows{Format: l.format(true)}
	}
	if len(changed) > 0 || !l.news.Begun() {
		view.News, err = l.news.More(func(out *bytes.Buffer) error { return render(out, changed, l.kinds) })
	}
	return view, err
}

// changed are the answers of which something is new, with nothing but that.
func (l *live) changed(answers []contexts.Answer[listed]) []contexts.Answer[listed] {
	var all []entry
	known := map[string]bool{}
	changed := make([]contexts.Answer[listed], len(answers))
	for i, a := range answers {
		for _, s := range a.Result.sessions {
			if everywhere(s) && known[s.SessionID] {
				continue
			}
			known[s.SessionID] = true
			all = append(all, entry{i, s})
		}
		failure := ""
		if a.Err != nil {
			failure = a.Err.Error()
		}
		changed[i].Context = a.Context
		if failure != l.failures[a.Context] {
			changed[i].Err, l.failures[a.Context] = a.Err, failure
		}
	}
	for _, e := range l.changes.Next(all) {
		result := &changed[e.answer].Result
		result.sessions = append(result.sessions, e.Session)
	}
	return slices.DeleteFunc(changed, func(a contexts.Answer[listed]) bool { return a.Err == nil && len(a.Result.sessions) == 0 })
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
	// What is in brackets is its health, or what it is started again after.
	_, fact, _ := strings.Cut(s.Status, "(")
	s.Status, _, _ = strings.Cut(fact, ")")
	if s.State != session.Running {
		s.Status = ""
	}
	return s
}
