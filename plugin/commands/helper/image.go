package helper

import (
	"context"
	"fmt"

	"github.com/docker/cli/cli/command"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/version"
)

// Image makes an image of this plugin's helper on the engine, unless that has it, and
// returns its name. It stays until `helper uninstall`.
func Image(ctx context.Context, dockerCLI command.Cli) (string, error) {
	return deploy.Image(ctx, dockerCLI.Client(), deploy.Options{
		Binary: binary, Version: version.Get().Version,
		Report: func(text string) { fmt.Fprintln(dockerCLI.Err(), display.Line(text)) },
	})
}
