package session

import (
	"context"
	"slices"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

// listed is what one context has, and the error of records that cannot be read.
type listed struct {
	sessions []session.Session
	err      error
}

// listSeveral lists the sessions of several contexts.
func listSeveral(ctx context.Context, dockerCLI command.Cli, options *listOptions, out formatter.Context,
	list func(context.Context, *contexts.Context, func()) (listed, error),
) error {
	set, err := options.where.Open(dockerCLI)
	if err != nil {
		return err
	}
	defer set.Close()
	answers := contexts.Ask(ctx, set, list)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, a := range answers {
		if err := badFilter(a.Err); err != a.Err { //nolint:errorlint // is it another one
			return err
		}
	}
	out.Format = severalFormat(options, strangers(answers))
	err = contexts.Write(severalTable(options, out), answers, severalRows(out.Trunc))
	return contexts.Join(append(unread(answers), err))
}

// strangers tells whether any context has sessions that this plugin has not made.
func strangers(answers []contexts.Answer[listed]) bool {
	return slices.ContainsFunc(answers, func(a contexts.Answer[listed]) bool { return foreign(a.Result.sessions) })
}

// unread are the errors of records that cannot be read. All contexts tell of the same
// files of the user's.
func unread(answers []contexts.Answer[listed]) []error {
	var errs []error
	for _, a := range answers {
		if err := a.Result.err; err != nil && !slices.ContainsFunc(errs, func(other error) bool { return other.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	}
	return errs
}

// severalFormat is newFormat for several contexts.
func severalFormat(options *listOptions, kinds bool) formatter.Format {
	format := newFormat(options.format, options.quiet, options.size, kinds)
	if usual(options.format, options.quiet) {
		return contexts.First(format)
	}
	return format
}

// severalTable is the list of several contexts, by the format of out.
func severalTable(options *listOptions, out formatter.Context) contexts.Table {
	table := contexts.Table{Context: out, Header: contexts.Header(header())}
	if usual(options.format, options.quiet) {
		table.Second = "ID"
	}
	return table
}

// severalRows returns the rows of each context, and those that are in every one with
// the first.
func severalRows(trunc bool) func(contexts.Answer[listed]) []formatter.SubContext {
	shown := map[string]bool{}
	return func(a contexts.Answer[listed]) []formatter.SubContext {
		var rows []formatter.SubContext
		for _, s := range a.Result.sessions {
			r := &contextRow{row: row{trunc: trunc, s: s}, context: a.Context.CurrentContext()}
			if everywhere(s) {
				if shown[s.SessionID] {
					continue
				}
				shown[s.SessionID], r.context = true, ""
			}
			rows = append(rows, r)
		}
		return rows
	}
}

// everywhere tells whether it is a session that no engine has: one of a server, which
// the user's own records tell of in each context.
func everywhere(s session.Session) bool {
	return s.Kind == session.Server && s.Scope != session.ScopeEngine
}
