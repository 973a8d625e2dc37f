// Package connect reaches the helper of the current context's engine.
package connect

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"github.com/docker/cli/cli/command"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

// Helper returns a client of the engine's helper; dial.ErrNone if it has none.
// The caller closes it.
func Helper(ctx context.Context, dockerCLI command.Cli) (*helperapi.Client, error) {
	way, err := dial.Find(ctx, dockerCLI.Client(), dockerCLI.DockerEndpoint().Host)
	if err != nil {
		return nil, err
	}
	client := By(way)
	client.Older = func(theirs string) {
		of, global := "this engine", ""
		if name := contexts.Name(dockerCLI); name != "" {
			of, global = "context "+name, "--context "+name+" "
		}
		fmt.Fprintf(dockerCLI.Err(), "the helper of %s is older (%s) than this plugin (%s): `docker %skasm helper upgrade` renews it\n", of, theirs, version.Get().Version, global)
	}
	return client, nil
}

// By returns a client that goes a way that was found, and says nothing of the
// helper's age. The caller closes it.
func By(way *dial.Way) *helperapi.Client {
	return helperapi.NewClient(way.Dial, User(), version.Get().Version)
}

// User is who runs this, for people to read: a user and a machine.
func User() string {
	name := UserName()
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// UserName is the user who runs this, "" where the system does not say.
func UserName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
