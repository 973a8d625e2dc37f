package commands

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/container"
	"github.com/spf13/pflag"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	sessioncmd "github.com/docker-kasm/docker-kasm/plugin/commands/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// withoutContainer lists the flags of `run` that mean something where no container
// is made, by the type of workspace.
func withoutContainer(of workspace.Type) []string {
	if of == workspace.TypeLink {
		return []string{"quiet", "open", "no-wait", "wait-timeout"}
	}
	return []string{"name", "quiet", "open", "no-wait", "wait-timeout"}
}

// runMachine launches a workspace that has no image: of a server a session is
// recorded, and a link has none. It returns the session, zero for a link.
func runMachine(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, ws *workspace.Workspace, flags *pflag.FlagSet, options runOptions) (session.Session, error) {
	var wrong string
	flags.Visit(func(f *pflag.Flag) {
		if !slices.Contains(withoutContainer(ws.Type), f.Name) {
			wrong = f.Name
		}
	})
	if wrong != "" {
		return session.Session{}, usage.Error(fmt.Errorf("--%s is only applicable to container-based workspaces, and %q is a %s", wrong, ws.Name, ws.Type))
	}
	if err := session.Launchable(ws); err != nil {
		return session.Session{}, err
	}
	if ws.Type == workspace.TypeLink {
		return session.Session{}, sessioncmd.Show(ctx, dockerCLI, ws.URL, sessioncmd.OpenOptions{Out: dockerCLI.Out(), Print: !options.open})
	}
	id, err := roster.NewID()
	if err != nil {
		return session.Session{}, err
	}
	name := options.name
	if name == "" {
		name = ws.Name + "-" + id[:6]
	}
	if err := roster.ValidName(name); err != nil {
		return session.Session{}, usage.Error(err)
	}
	if err := free(ctx, dockerCLI, name); err != nil {
		return session.Session{}, fmt.Errorf("launch workspace %q: %w", ws.Name, err)
	}
	r := roster.Record{
		ID: id, Kind: roster.Server, Name: name, Workspace: ws.Name, Scope: ws.Scope, User: connect.UserName(),
		Created: time.Now().UTC().Truncate(time.Second), Address: ws.URL,
	}
	if err := where.AddRecord(ctx, r); err != nil {
		return session.Session{}, fmt.Errorf("launch workspace %q: %w", ws.Name, err)
	}
	return session.OfServer(r), nil
}

// free tells whether a container has a name already: what is typed is to mean one
// session. An engine that does not answer has nothing to do with this one.
func free(ctx context.Context, dockerCLI command.Cli, name string) error {
	list, err := dockerCLI.Client().ContainerList(ctx, container.ListOptions{All: true})
	if engine.ConnectionLost(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for containers of that name: %w", err)
	}
	if slices.ContainsFunc(list, func(c container.Summary) bool { return slices.Contains(c.Names, "/"+name) }) {
		return fmt.Errorf("a container named %q is already there: choose another --name", name)
	}
	return nil
}
