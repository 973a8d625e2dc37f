// Package pipeline sets a snapshot pipeline up for the current context and user.
package pipeline

import (
	"os/signal"
	"syscall"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/guard"
)

// New returns a pipeline that reports to sink. From then on a reader of this
// process's output that goes away does not end it: a snapshot is not to be left
// half done because nobody looks at it.
func New(dockerCLI command.Cli, where *catalog.Catalog, sink snapshot.Sink) *snapshot.Pipeline {
	signal.Ignore(syscall.SIGPIPE)
	return &snapshot.Pipeline{
		API:     dockerCLI.Client(),
		Catalog: where,
		Roster:  where,
		Auth:    func(host string) (registry.AuthConfig, error) { return Auth(dockerCLI, host) },
		Pusher:  Pusher(dockerCLI, push.DefaultRetries, nil),
		LockDir: catalog.LockDir(),
		Guard:   guard.In(dockerCLI),
		Sink:    sink,
		Now:     time.Now,
	}
}

// Pusher pushes images of the current context's engine.
func Pusher(dockerCLI command.Cli, retries uint, report func(push.Event)) push.Pusher {
	return push.Pusher{
		API:     dockerCLI.Client(),
		Local:   engine.Local(dockerCLI.Client().DaemonHost()),
		Context: dockerCLI.CurrentContext(),
		Records: catalog.Pushes(),
		Retries: retries,
		Now:     time.Now,
		Report:  report,
	}
}

// Auth returns the user's credentials for a registry host from the docker CLI's
// configuration and credential helpers; zero when there are none.
func Auth(dockerCLI command.Cli, host string) (registry.AuthConfig, error) {
	return push.Stored(dockerCLI.ConfigFile(), host)
}

// EncodedAuth is Auth for an image reference, encoded for the engine.
func EncodedAuth(dockerCLI command.Cli, ref string) (string, error) {
	named, err := imageref.Parse(ref)
	if err != nil {
		return "", err
	}
	auth, err := Auth(dockerCLI, imageref.Host(named))
	if err != nil {
		return "", err
	}
	return registry.EncodeAuthConfig(auth)
}

// Prefix is the user's repository_prefix for generated names, from the plugins
// section of the docker CLI's configuration file.
func Prefix(dockerCLI command.Cli) string {
	prefix, _ := dockerCLI.ConfigFile().PluginConfig("kasm", "repository_prefix")
	return prefix
}
