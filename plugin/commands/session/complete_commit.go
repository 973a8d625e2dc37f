package session

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
)

// CompleteCommit completes the arguments of `commit`: a session, then an image.
func CompleteCommit(dockerCLI command.Cli) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return completeNames(dockerCLI, session.Commit)(cmd, args, toComplete)
		case 1:
			return completion.ImageNames(dockerCLI, 2)(cmd, args, toComplete)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteKeptEnv completes --keep-env by the names of the variables that the session
// was given when it was launched.
func CompleteKeptEnv(dockerCLI command.Cli) cobra.CompletionFunc {
	return completeOf(dockerCLI, func(c container.InspectResponse, image *container.Config) []string {
		var names []string
		for _, variable := range c.Config.Env {
			if slices.Contains(image.Env, variable) {
				continue
			}
			name, _, _ := strings.Cut(variable, "=")
			names = append(names, name)
		}
		return append(names, "*")
	})
}

// CompleteKeptLabels completes --keep-label by the names of the labels that the session
// was given when it was launched. Those that make it a session cannot be kept.
func CompleteKeptLabels(dockerCLI command.Cli) cobra.CompletionFunc {
	return completeOf(dockerCLI, func(c container.InspectResponse, image *container.Config) []string {
		var names []string
		for _, name := range slices.Sorted(maps.Keys(c.Config.Labels)) {
			if value, ok := image.Labels[name]; (!ok || value != c.Config.Labels[name]) && !session.IsSessionLabel(name) {
				names = append(names, name)
			}
		}
		return append(names, "*")
	})
}

// CompleteMounts completes --include-mount by where the session has volumes and bind
// mounts.
func CompleteMounts(dockerCLI command.Cli) cobra.CompletionFunc {
	return completeOf(dockerCLI, func(c container.InspectResponse, _ *container.Config) []string {
		var paths []string
		for _, m := range c.Mounts {
			if m.Type == mount.TypeVolume || m.Type == mount.TypeBind {
				paths = append(paths, m.Destination)
			}
		}
		return paths
	})
}

// completeOf completes an option by what words finds in the container of the session
// that is the first argument, and in the configuration of its image.
func completeOf(dockerCLI command.Cli, words func(c container.InspectResponse, image *container.Config) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := connect.Completing(cmd)
		defer cancel()
		c, image, err := inspectBoth(ctx, dockerCLI, args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return words(c, image), cobra.ShellCompDirectiveNoFileComp
	}
}

// inspectBoth inspects a session's container and its image, whose configuration is empty
// where the image is gone.
func inspectBoth(ctx context.Context, dockerCLI command.Cli, name string) (container.InspectResponse, *container.Config, error) {
	s, err := session.Find(ctx, dockerCLI.Client(), name, session.AnyContainer())
	if err != nil {
		return container.InspectResponse{}, nil, err
	}
	c, err := dockerCLI.Client().ContainerInspect(ctx, s.ID)
	if err != nil {
		return container.InspectResponse{}, nil, err
	}
	config := &container.Config{}
	if image, err := dockerCLI.Client().ImageInspect(ctx, c.Image); err == nil && image.Config != nil {
		config.Env, config.Labels = image.Config.Env, image.Config.Labels
	}
	return c, config, nil
}
