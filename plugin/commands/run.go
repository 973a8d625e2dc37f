package commands

import (
	"context"
	"fmt"
	"os/user"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/docker/cli/opts"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/progress"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
	workspacecmd "github.com/docker-kasm/docker-kasm/plugin/commands/workspace"
)

type runOptions struct {
	name, pull string
	env        opts.ListOpts
	quiet      bool
}

func newRunCommand(dockerCLI command.Cli) *cobra.Command {
	options := runOptions{env: opts.NewListOpts(opts.ValidateEnv)}
	cmd := &cobra.Command{
		Use:   "run [OPTIONS] WORKSPACE",
		Short: "Launch a session of a workspace",
		Long: `Launch a session: a container of the workspace's image, with its resources,
ports, volumes and environment. Prints the session's name, and its address on
standard error.

Sessions of Kasm images get a tmpfs at /tmp, unless the workspace mounts something
there itself or says "tmpfs = []".`,
		Example: `  docker kasm run firefox
  docker kasm run --name work -e LANG=de_DE.UTF-8 firefox`,
		Args: cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRun(cmd.Context(), dockerCLI, args[0], options)
		},
		ValidArgsFunction: workspacecmd.CompleteNames(dockerCLI, 1),
	}
	flags := cmd.Flags()
	flags.StringVar(&options.name, "name", "", "Assign a name to the session")
	flags.VarP(&options.env, "env", "e", "Set environment variables")
	flags.StringVar(&options.pull, "pull", "", `Pull image before launching ("always", "missing", "never"; default is the workspace's policy)`)
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Suppress the pull output and the address")
	_ = cmd.RegisterFlagCompletionFunc("env", completion.EnvVarNames)
	_ = cmd.RegisterFlagCompletionFunc("pull", cobra.FixedCompletions([]string{"always", "missing", "never"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("name", cobra.NoFileCompletions)
	return cmd
}

func runRun(ctx context.Context, dockerCLI command.Cli, name string, options runOptions) error {
	switch options.pull {
	case "", "always", "missing", "never":
	default:
		return usage.Error(fmt.Errorf("invalid value %q for --pull: use always, missing or never", options.pull))
	}
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	ws, err := where.Get(ctx, name)
	if err != nil {
		return err
	}
	layers := progress.Layers(dockerCLI.Err(), dockerCLI.Err().IsTerminal())
	launch := session.LaunchOptions{
		Name: options.name, Env: options.env.GetSlice(), Pull: workspace.PullPolicy(options.pull),
		User: userName(), Now: time.Now(),
		Auth: func(ref string) (string, error) { return pipeline.EncodedAuth(dockerCLI, ref) },
	}
	if !options.quiet {
		launch.Progress = layers.Show
	}
	if ws.Scope == catalog.ScopeShare {
		launch.PullImage = func(ctx context.Context, ref string) error {
			return pullByHelper(ctx, dockerCLI, where, ref, launch.Progress)
		}
	}
	launched, err := session.Launch(ctx, dockerCLI.Client(), ws, launch)
	layers.Flush()
	for _, w := range launched.Warnings {
		fmt.Fprintf(dockerCLI.Err(), "warning: %s\n", display.Line(w))
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(dockerCLI.Out(), launched.Session.Name)
	if address := launched.Session.Address(); address != "" && !options.quiet {
		fmt.Fprintln(dockerCLI.Err(), display.Line(address))
	}
	return nil
}

// userName is who runs this, "" where the system does not say.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
