package pipeline

import (
	"context"

	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/push"
)

// Credentials are the user's for the registry of an image name, qualified with a
// registry unless that is "": what the helper needs for a push or pull of it.
func Credentials(ctx context.Context, dockerCLI command.Cli, image, host string) (helperapi.Credentials, error) {
	named, err := imageref.Parse(image)
	if err == nil && host != "" {
		named, err = imageref.Qualify(image, host)
	}
	if err != nil {
		return nil, err
	}
	name := imageref.Host(named)
	auth, err := push.Credentials(ctx, func(host string) (registry.AuthConfig, error) { return Auth(dockerCLI, host) }, name)
	if err != nil || auth == (registry.AuthConfig{}) {
		return nil, err
	}
	return helperapi.Credentials{name: auth}, nil
}
