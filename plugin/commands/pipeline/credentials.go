package pipeline

import (
	"context"

	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/push"
)

// Host is the registry of an image name, qualified with a registry unless that is
// "".
func Host(image, qualify string) (string, error) {
	named, err := imageref.Parse(image)
	if err == nil && qualify != "" {
		named, err = imageref.Qualify(image, qualify)
	}
	if err != nil {
		return "", err
	}
	return imageref.Host(named), nil
}

// Credentials are the user's for a registry, nil if there are none: what the
// helper needs for a push or pull.
func Credentials(ctx context.Context, dockerCLI command.Cli, host string) (helperapi.Credentials, error) {
	auth, err := push.Credentials(ctx, func(host string) (registry.AuthConfig, error) { return Auth(dockerCLI, host) }, host)
	if err != nil || auth == (registry.AuthConfig{}) {
		return nil, err
	}
	return helperapi.Credentials{host: auth}, nil
}
