package session

import (
	"context"

	"github.com/docker/cli/cli/command"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
)

// list is session.List in one context, with the sessions that the user's and the
// helper's records tell of.
func list(ctx context.Context, dockerCLI command.Cli, options session.ListOptions) ([]session.Session, error) {
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return nil, err
	}
	defer where.Close()
	options.Roster = where
	return session.List(ctx, dockerCLI.Client(), options)
}

// findHere is session.FindAll in one context, as list is session.List.
func findHere(ctx context.Context, dockerCLI command.Cli, names []string, options ...session.FindOption) ([]session.Found, error) {
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return nil, err
	}
	defer where.Close()
	return session.FindAll(ctx, dockerCLI.Client(), names, append(options, session.In(where))...)
}

// findOne is findHere for one name.
func findOne(ctx context.Context, dockerCLI command.Cli, name string, options ...session.FindOption) (session.Session, error) {
	found, err := findHere(ctx, dockerCLI, []string{name}, options...)
	if err != nil {
		return session.Session{}, err
	}
	return found[0].Session, found[0].Err
}
