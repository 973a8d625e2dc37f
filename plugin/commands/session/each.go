package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// atOnce is how many sessions are worked on in parallel.
const atOnce = 32

// each does act for every named session in parallel, and reports every one: its
// name on stdout when done, its error with all others at the end.
func each(ctx context.Context, dockerCLI command.Cli, names []string, act func(context.Context, session.Session) error) error {
	found, err := session.FindAll(ctx, dockerCLI.Client(), names)
	if err != nil {
		return err
	}
	// A session is left alone while a snapshot is made of it. An engine that
	// cannot be asked keeps no snapshots apart either.
	busy, err := lock.List(ctx, dockerCLI.Client(), "")
	if err != nil && !cerrdefs.IsPermissionDenied(err) {
		return err
	}
	slots := make(chan struct{}, atOnce)
	results := make([]chan error, len(found))
	for i, f := range found {
		results[i] = make(chan error, 1)
		if f.Err != nil {
			results[i] <- f.Err
			continue
		}
		if by := slices.IndexFunc(busy, func(h lock.Holder) bool { return h.Key == f.Session.ID && !h.Dead }); by >= 0 {
			results[i] <- fmt.Errorf("a snapshot of session %q is under way, made by %s: wait until it is done", f.Session.Name, busy[by].Owner)
			continue
		}
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] <- act(ctx, f.Session)
		}()
	}
	var errs []error
	for i, name := range names {
		if err := <-results[i]; err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(dockerCLI.Out(), display.Line(name))
	}
	return errors.Join(errs...)
}

// completeNames offers the names of the sessions that verb applies to.
func completeNames(dockerCLI completion.APIClientProvider, verb session.Verb) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		sessions, err := session.List(cmd.Context(), dockerCLI.Client(), session.ListOptions{All: true})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return session.Names(sessions, verb, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFirst offers them for the first argument only.
func completeFirst(dockerCLI completion.APIClientProvider, verb session.Verb) cobra.CompletionFunc {
	names := completeNames(dockerCLI, verb)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, toComplete)
	}
}
