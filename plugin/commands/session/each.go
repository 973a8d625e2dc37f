package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

// atOnce is how many sessions are worked on in parallel.
const atOnce = 32

// each does act for every named session in parallel, and reports every one: its
// name on stdout when done, its error with all others at the end. Nothing is done
// where allow, which is told the sessions that were found, returns an error.
func each(ctx context.Context, dockerCLI command.Cli, where *contexts.Options, names []string, allow permission, act action) error {
	found, err := find(ctx, dockerCLI, where, names, certainly)
	if err != nil {
		return err
	}
	defer found.close()
	asked, err := allow(found.sessions())
	if err == nil && asked {
		err = found.lookAgain(ctx)
	}
	if err != nil {
		return errors.Join(err, found.err)
	}
	return errors.Join(do(ctx, dockerCLI, found.targets, act), found.err)
}

// permission returns an error where nothing is to be done with sessions, and whether
// the user was asked.
type permission func([]target) (asked bool, err error)

// action does something with a session, by the docker CLI in its context.
type action func(ctx context.Context, dockerCLI command.Cli, s session.Session) error

func do(ctx context.Context, dockerCLI command.Cli, targets []target, act action) error {
	slots := make(chan struct{}, atOnce)
	results := make([]chan error, len(targets))
	for i, t := range targets {
		results[i] = make(chan error, 1)
		if t.err != nil {
			results[i] <- t.err
			continue
		}
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] <- t.explain(act(ctx, t.cli, t.session))
		}()
	}
	var errs []error
	for i, t := range targets {
		if err := <-results[i]; err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(dockerCLI.Out(), display.Line(t.name))
	}
	return errors.Join(errs...)
}

// completeNames offers the names of the sessions that verb applies to.
func completeNames(dockerCLI command.Cli, verb session.Verb) cobra.CompletionFunc {
	return completeWhere(dockerCLI, func(s session.Session) bool { return s.Kind != session.Plain && s.Check(verb) == nil })
}

// completeWhere offers the names of the sessions and containers that want is true of.
func completeWhere(dockerCLI command.Cli, want func(session.Session) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := connect.Completing(cmd)
		defer cancel()
		sessions, err := list(ctx, dockerCLI, session.ListOptions{All: true, Plain: true})
		if err != nil && len(sessions) == 0 {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, s := range sessions {
			if want(s) && !slices.Contains(args, s.Name) {
				names = append(names, s.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeIn offers them in several contexts too: with the context where the name
// alone would not do.
func completeIn(dockerCLI command.Cli, where *contexts.Options, verb session.Verb) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if !where.Several() {
			return completeNames(dockerCLI, verb)(cmd, args, toComplete)
		}
		ctx, cancel := connect.Completing(cmd)
		defer cancel()
		set, err := where.Open(dockerCLI)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer set.Close()
		only, _ := contexts.Split(toComplete)
		if only != "" {
			set = set.Only([]string{only})
		}
		answers := contexts.Ask(ctx, set, func(ctx context.Context, c *contexts.Context, _ func()) ([]session.Session, error) {
			sessions, err := list(ctx, c, session.ListOptions{All: true})
			if len(sessions) > 0 && !session.Silent(err) {
				err = nil // records that cannot be read
			}
			return sessions, err
		})
		return offer(answers, verb, args, only != ""), cobra.ShellCompDirectiveNoFileComp
	}
}

// offer lists the names that verb applies to. A name alone tells which session is
// meant only if all contexts have answered, and one of them has it.
func offer(answers []contexts.Answer[[]session.Session], verb session.Verb, except []string, qualify bool) []string {
	count := map[string]int{}
	told := map[string]bool{}
	lists := make([][]session.Session, len(answers))
	for i, a := range answers {
		qualify = qualify || a.Err != nil && verb != session.View
		for _, s := range a.Result {
			if (target{session: s}).everywhere() {
				// Each context tells of it.
				if told[s.SessionID] {
					continue
				}
				told[s.SessionID] = true
			}
			count[s.Name]++
			lists[i] = append(lists[i], s)
		}
	}
	var words []string
	for i, a := range answers {
		for _, name := range session.Names(lists[i], verb, nil) {
			full := contexts.Label(a.Context, name)
			if slices.Contains(except, name) || slices.Contains(except, full) {
				continue
			}
			if qualify || count[name] > 1 {
				name = full
			}
			words = append(words, name)
		}
	}
	return words
}

// completeFirst offers them for the first argument only.
func completeFirst(dockerCLI command.Cli, verb session.Verb) cobra.CompletionFunc {
	names := completeNames(dockerCLI, verb)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, toComplete)
	}
}
