package helper

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// settings are the options that `install` and `upgrade` share.
type settings struct {
	socket, logFormat, logLevel string
}

func (o *settings) install(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.socket, "socket", "", "Engine's socket on its host (default is the context's, or /var/run/docker.sock)")
	flags.StringVar(&o.logFormat, "log-format", "text", `Format of the helper's log ("text", "json")`)
	flags.StringVar(&o.logLevel, "log-level", "info", `What the helper logs ("debug", "info", "warn", "error")`)
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
}

// check refuses values that the helper would refuse once it is there.
func (o *settings) check() error {
	for _, f := range []struct {
		flag, value string
		allowed     []string
	}{
		{"log-format", o.logFormat, []string{"text", "json"}},
		{"log-level", o.logLevel, []string{"debug", "info", "warn", "error"}},
	} {
		if err := usage.OneOf(f.flag, f.value, f.allowed...); err != nil {
			return err
		}
	}
	if o.socket != "" && !path.IsAbs(o.socket) {
		return usage.Error(fmt.Errorf("invalid value %q for --socket: give the path of the engine's socket on its host", o.socket))
	}
	return nil
}

// given are the settings whose flags were given.
func (o *settings) given(flags *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	for flag, value := range map[string]string{"log-format": o.logFormat, "log-level": o.logLevel} {
		if flags.Changed(flag) {
			given[flag] = value
		}
	}
	return given
}

func newInstallCommand(dockerCLI command.Cli) *cobra.Command {
	var options settings
	cmd := &cobra.Command{
		Use:   "install [OPTIONS]",
		Short: "Set the helper up in a container of this engine",
		Long: `Set the helper up in a container of this engine. Its program is sent to the
engine, so that neither a registry nor a login on the engine's host is needed. The
container has no network and no capabilities; it reaches the engine by its socket,
and keeps its data in the volume docker-kasm-helper.

Where the helper is there already, it is started if it does not run.`,
		Example: `  docker kasm helper install
  docker --context remote kasm helper install --socket /run/user/1000/docker.sock`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runInstall(cmd.Context(), dockerCLI, cmd.Flags(), options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	options.install(cmd)
	return cmd
}

func runInstall(ctx context.Context, dockerCLI command.Cli, flags *pflag.FlagSet, options settings) error {
	deployment, err := deployment(dockerCLI, flags, options)
	if err != nil {
		return err
	}
	changed, err := deploy.Install(ctx, dockerCLI.Client(), deployment)
	if err != nil {
		return err
	}
	if !changed {
		fmt.Fprintln(dockerCLI.Err(), "the helper is there already")
		if len(deployment.Settings) > 0 || options.socket != "" {
			return errors.New("it has the settings that it had: `docker kasm helper upgrade` changes them")
		}
		return nil
	}
	fmt.Fprintln(dockerCLI.Err(), "the helper is ready")
	return nil
}

func deployment(dockerCLI command.Cli, flags *pflag.FlagSet, options settings) (deploy.Options, error) {
	if err := options.check(); err != nil {
		return deploy.Options{}, err
	}
	return deploy.Options{
		Binary: binary, Version: version.Get().Version, User: connect.User(), Socket: options.socket, Settings: options.given(flags),
		FindSocket: func(ctx context.Context) (string, error) { return engineSocket(ctx, dockerCLI) },
		Ready: func(ctx context.Context) error {
			client, err := connect.Helper(ctx, dockerCLI)
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Ready(ctx)
		},
		Report: func(text string) { fmt.Fprintln(dockerCLI.Err(), display.Line(text)) },
	}, nil
}

// engineSocket is where the engine's host has its socket, as far as it can be
// told from here.
func engineSocket(ctx context.Context, dockerCLI command.Cli) (string, error) {
	const usual = "/var/run/docker.sock"
	info, err := dockerCLI.Client().Info(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine where it runs: %w", err)
	}
	if info.OperatingSystem == "Docker Desktop" {
		// The other is a proxy that knows the user's session.
		return usual + ".raw", nil
	}
	u, err := url.Parse(dockerCLI.DockerEndpoint().Host)
	if err == nil && (u.Scheme == "unix" || u.Scheme == "ssh") && path.Clean(u.Path) != "/" && path.IsAbs(u.Path) {
		return u.Path, nil
	}
	return usual, nil
}
