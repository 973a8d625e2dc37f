package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

func newInspectCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	var where contexts.Options
	var options session.InspectOptions
	cmd := &cobra.Command{
		Use:     "inspect [OPTIONS] SESSION [SESSION...]",
		Aliases: []string{"view"},
		Short:   "Show everything about one or more sessions",
		Long: `Show a session's workspace, image, state and since when, address, mounts, what
it uses and has written, when it expires, and what can be done with it now; and the
environment that it was given. Values that look secret, such as passwords, are
hidden unless --show-secrets is given; those of a Kasm agent's session always are.

Of a session that Kasm has made, or that was started from one of its images, only
values that are known to be harmless are shown, such as the user and the ids, and the
workspace that has the session's image.` + helpNames + `.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), dockerCLI, &where, args, format, options)
		},
		ValidArgsFunction: completeIn(dockerCLI, &where, session.View),
	}
	where.Install(cmd, dockerCLI)
	cmd.Flags().StringVarP(&format, "format", "f", "", output.FormatHelp)
	cmd.Flags().BoolVar(&options.ShowSecrets, "show-secrets", false, "Show passwords and other secret values of the environment")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// details are what is shown of a session.
type details struct {
	// Context is where it is, "" for the current one.
	Context string `json:",omitempty"`
	session.Details
}

func runInspect(ctx context.Context, dockerCLI command.Cli, where *contexts.Options, names []string, format string, options session.InspectOptions) error {
	show, err := output.New(format, writeDetails)
	if err != nil {
		return err
	}
	found, err := find(ctx, dockerCLI, where, names, probably)
	if err != nil {
		return err
	}
	defer found.close()
	var all []seen
	if found.set != nil {
		all = inspectIn(ctx, found.set, found.targets, options)
	} else {
		all = inspectEach(ctx, found.targets, options)
	}
	out := display.Writer(dockerCLI.Out())
	errs := []error{}
	shown := 0
	for _, s := range all {
		if s.err != nil {
			errs = append(errs, s.err)
			continue
		}
		if shown++; shown > 1 && format == "" {
			fmt.Fprintln(out)
		}
		if err := show(out, s.details); err != nil {
			return err
		}
	}
	return errors.Join(append(errs, found.err)...)
}

// seen is what came of the look at a target.
type seen struct {
	details details
	err     error
}

func inspectEach(ctx context.Context, targets []target, options session.InspectOptions) []seen {
	out := make([]seen, len(targets))
	for i, t := range targets {
		out[i] = inspect(ctx, t, options)
	}
	return out
}

// inspectIn looks at the sessions of each context at the same time.
func inspectIn(ctx context.Context, set *contexts.Set, targets []target, options session.InspectOptions) []seen {
	out := make([]seen, len(targets))
	indexes := map[string][]int{}
	var names []string
	for i, t := range targets {
		if t.err != nil {
			out[i].err = t.err
			continue
		}
		name := contexts.Name(t.cli)
		names, indexes[name] = append(names, name), append(indexes[name], i)
	}
	answers := contexts.Ask(ctx, set.Only(names), func(ctx context.Context, c *contexts.Context, _ func()) ([]seen, error) {
		var there []target
		for _, i := range indexes[c.CurrentContext()] {
			there = append(there, targets[i])
		}
		return inspectEach(ctx, there, options), ctx.Err()
	})
	for _, a := range answers {
		for n, i := range indexes[a.Context.CurrentContext()] {
			if a.Err != nil {
				out[i].err = contexts.Wrap(a)
				continue
			}
			out[i] = a.Result[n]
		}
	}
	return out
}

func inspect(ctx context.Context, t target, options session.InspectOptions) seen {
	if t.err != nil {
		return seen{err: t.err}
	}
	d, err := session.Inspect(ctx, t.cli.Client(), t.session, options)
	if err != nil {
		return seen{err: t.explain(err)}
	}
	if d.Kind == session.Managed && d.Scope == session.ScopeEngine {
		// One that does not answer, or not yet, leaves what the label says.
		if e, err := expiry(ctx, t.cli, t.session); err == nil && !e.Expires.IsZero() {
			d.Expires = e.Expires
		}
	}
	return seen{details: details{Context: contexts.Name(t.cli), Details: d}}
}
