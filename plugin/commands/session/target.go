package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli/command"

	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

// helpNames tells how commands on sessions find them in several contexts.
const helpNames = `

With --all-contexts or --contexts a session is looked for in several contexts at the
same time. CONTEXT/SESSION says which one is meant where several have it`

// helpCertainly is what else holds for commands that change something.
const helpCertainly = helpNames + `. A name
alone is refused also if a context cannot be asked, which may have one of that name
too: CONTEXT/SESSION asks no other context.`

// target is the session that a name on the command line stands for.
type target struct {
	// name is as it was given.
	name string
	// cli is the docker CLI in the session's context.
	cli     command.Cli
	session session.Session
	// err says why there is no such session, or why it is to be left alone.
	err error
}

// label names the session for people.
func (t target) label() string { return contexts.Label(t.cli, t.session.Name) }

// explain adds to an error the context it is about, if the command has several.
func (t target) explain(err error) error {
	if name := contexts.Name(t.cli); name != "" && err != nil {
		return fmt.Errorf("context %q: %w", name, err)
	}
	return err
}

// everywhere tells whether it is a session that is in every context.
func (t target) everywhere() bool { return t.err == nil && everywhere(t.session) }

// found is what a command is to work on.
type found struct {
	targets []target
	// err has the errors of contexts that could not be asked.
	err   error
	set   *contexts.Set
	close func()
}

// sessions are the targets that are there.
func (f found) sessions() []target {
	var there []target
	for _, t := range f.targets {
		if t.err == nil {
			there = append(there, t)
		}
	}
	return there
}

// lookAgain has those sessions left alone of which a snapshot is made by now: a user
// who is asked may take as long as that takes to begin.
func (f found) lookAgain(ctx context.Context) error {
	busy := map[command.Cli][]lock.Holder{}
	for i := range f.targets {
		t := &f.targets[i]
		if t.err != nil || t.session.ID == "" {
			continue
		}
		holders, known := busy[t.cli]
		if !known {
			var err error
			if holders, err = snapshots(ctx, t.cli); err != nil {
				return t.explain(err)
			}
			busy[t.cli] = holders
		}
		t.err = t.explain(snapshotOf(t.session, holders))
	}
	return nil
}

// How sure it has to be that no other session is meant by a name.
const (
	// probably: what the contexts say that answer is shown.
	probably = false
	// certainly: nothing is done while a context that may have another one of that
	// name does not answer.
	certainly = true
)

// find looks for sessions in the current context, or in those that where names. A
// session of which a snapshot is made is left alone if it has to be certain. The
// caller closes what it is given.
func find(ctx context.Context, dockerCLI command.Cli, where *contexts.Options, names []string, certain bool) (found, error) {
	if !where.Several() {
		here, err := look(ctx, dockerCLI, names, certain)
		out := found{close: func() {}}
		for _, name := range names {
			out.targets = append(out.targets, here[name])
		}
		return out, err
	}
	set, err := where.Open(dockerCLI)
	if err != nil {
		return found{}, err
	}
	out := found{set: set, close: set.Close}
	// What is said to be in one context is asked of no other.
	asked := set
	wanted := map[string][]string{}
	var only []string
	for _, arg := range names {
		in, name := contexts.Split(arg)
		wanted[in] = append(wanted[in], name)
		only = append(only, in)
	}
	if len(wanted[""]) == 0 {
		asked = set.Only(only)
	}
	answers := contexts.Ask(ctx, asked, func(ctx context.Context, c *contexts.Context, _ func()) (map[string]target, error) {
		return look(ctx, c, slices.Concat(wanted[""], wanted[c.CurrentContext()]), certain)
	})
	if ctx.Err() != nil {
		set.Close()
		return found{}, ctx.Err()
	}
	for _, arg := range names {
		t := choose(arg, set.Names(), answers, certain)
		t.name = arg
		out.targets = append(out.targets, t)
	}
	var errs []error
	for _, a := range answers {
		errs = append(errs, contexts.Wrap(a))
	}
	out.err = errors.Join(errs...)
	return out, nil
}

// look asks one engine for sessions, by their names. Where it only has to be shown
// what they are, the workspaces that images tell are added.
func look(ctx context.Context, dockerCLI command.Cli, names []string, free bool) (map[string]target, error) {
	var options []session.FindOption
	if !free {
		options = append(options, session.ByImage(catalog.ByImage(ctx)))
	}
	answers, err := findHere(ctx, dockerCLI, names, options...)
	if err != nil {
		return nil, err
	}
	if contexts.Name(dockerCLI) != "" {
		// Sessions of servers are in no context: others tell of them as well.
		for _, f := range answers {
			if session.Silent(f.Err) {
				return nil, f.Err
			}
		}
	}
	var busy []lock.Holder
	// Of what is no container no snapshot is made.
	if free && slices.ContainsFunc(answers, func(f session.Found) bool { return f.Err == nil && f.Session.ID != "" }) {
		if busy, err = snapshots(ctx, dockerCLI); err != nil {
			return nil, err
		}
	}
	targets := make(map[string]target, len(names))
	for i, f := range answers {
		t := target{name: names[i], cli: dockerCLI, session: f.Session, err: f.Err}
		if f.Err == nil {
			t.err = snapshotOf(f.Session, busy)
		}
		targets[names[i]] = t
	}
	return targets, nil
}

// snapshots are those under way. A session is left alone while one is made of it. An
// engine that cannot be asked keeps no snapshots apart either.
func snapshots(ctx context.Context, dockerCLI command.Cli) ([]lock.Holder, error) {
	busy, err := lock.List(ctx, dockerCLI.Client(), "")
	if err != nil && !cerrdefs.IsPermissionDenied(err) {
		return nil, err
	}
	return busy, nil
}

// snapshotOf is the error that a snapshot of a session under way is, nil if there is
// none.
func snapshotOf(s session.Session, busy []lock.Holder) error {
	by, held := lock.HeldBy(busy, s.ID)
	if !held {
		return nil
	}
	return fmt.Errorf("a snapshot of session %q is under way, made by %s: wait until it is done", s.Name, by.Owner)
}

// check refuses what cannot be done with a session in its state. One that is only
// held still for a snapshot is not to be resumed.
func check(ctx context.Context, dockerCLI command.Cli, s session.Session, verb session.Verb) error {
	refused := s.Check(verb)
	if refused == nil || s.State != session.Paused {
		return refused
	}
	busy, err := snapshots(ctx, dockerCLI)
	if err != nil {
		return refused
	}
	if err := snapshotOf(s, busy); err != nil {
		return err
	}
	return refused
}

// choose decides which session of several contexts an argument means.
func choose(arg string, asked []string, answers []contexts.Answer[map[string]target], certain bool) target {
	in, name := contexts.Split(arg)
	if in != "" && !slices.Contains(asked, in) {
		return target{err: fmt.Errorf("session %q: context %q is not among those that are asked: %s", arg, in, strings.Join(asked, ", "))}
	}
	var there []target
	var silent, missing []string
	var unread []error
	near := map[string]error{}
	for _, a := range answers {
		context := a.Context.CurrentContext()
		t, ok := a.Result[name]
		var none *session.NotFoundError
		switch {
		case in != "" && context != in:
		case a.Err != nil:
			silent = append(silent, context)
		case ok && errors.As(t.err, &none) && session.Unread(t.err):
			silent = append(silent, context)
			unread = append(unread, t.explain(t.err))
		case ok && errors.As(t.err, &none):
			missing = append(missing, context)
			if none.Plain || len(none.Near) > 0 {
				near[context] = fmt.Errorf("context %q: %w", context, none)
			}
		case ok && t.everywhere() && slices.ContainsFunc(there, target.everywhere):
		case ok:
			there = append(there, t)
		}
	}
	switch {
	case len(there) > 1:
		return target{err: fmt.Errorf("session %q is in several contexts: say %s", arg, ways(name, there))}
	case len(there) == 1 && len(silent) > 0 && certain:
		refused := fmt.Errorf("session %q is in context %q, but context %s cannot be asked and may have one too: say %s to leave that out",
			arg, contexts.Name(there[0].cli), quoted(silent, " and "), ways(name, there))
		return target{err: errors.Join(append([]error{refused}, unread...)...)}
	case len(there) == 1:
		there[0].err = there[0].explain(there[0].err)
		return there[0]
	case len(silent) > 0:
		refused := fmt.Errorf("session %q is not found: context %s cannot be asked", arg, quoted(silent, " and "))
		return target{err: errors.Join(append([]error{refused}, unread...)...)}
	}
	var errs []error
	for _, context := range missing {
		errs = append(errs, near[context])
	}
	if err := errors.Join(errs...); err != nil {
		return target{err: err}
	}
	return target{err: fmt.Errorf("no session %q in context %s: `docker kasm ls -a --all-contexts` lists them all", name, quoted(missing, " or "))}
}

// ways are the arguments that mean one of several sessions.
func ways(name string, targets []target) string {
	words := make([]string, len(targets))
	for i, t := range targets {
		words[i] = contexts.Label(t.cli, name)
	}
	return quoted(words, " or ")
}

func quoted(words []string, between string) string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = strconv.Quote(word)
	}
	return strings.Join(out, between)
}
