package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/progress"
	sessioncmd "github.com/docker-kasm/docker-kasm/plugin/commands/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
	workspacecmd "github.com/docker-kasm/docker-kasm/plugin/commands/workspace"
)

type runOptions struct {
	settings      runSettings
	name, pull    string
	quiet, noWait bool
	open          bool
	timeout       time.Duration
}

// defaultWait is what a desktop gets to come up: slow ones take most of a minute.
const defaultWait = 2 * time.Minute

func newRunCommand(dockerCLI command.Cli) *cobra.Command {
	var options runOptions
	cmd := &cobra.Command{
		Use:   "run [OPTIONS] WORKSPACE",
		Short: "Launch a session of a workspace",
		Long: `Launch a session: a container of the workspace's image, with its resources,
ports, volumes, networks and environment. Prints the session's name, and on standard
error its address, or how it is opened if that is not published.

Options come on top of the workspace's settings, and are written as "docker run"
takes them. What is about the same thing replaces it: an environment variable the
one of that name, a published port all publications of that container port, a
volume what is mounted at that path, a limit that limit, networks all networks.
Everything else of the workspace stays. What --env sets replaces what --env-file does.

The session is waited for until its health check succeeds or, if it has none,
until something listens on the port that its address leads to, which with --open may
be one that is not published; a session with neither is not. One that ends meanwhile,
or does not answer in time, makes the command fail, and stays to be looked into. An
interrupt while waiting leaves the session running; before, nothing is left of it.

Sessions of Kasm images get a tmpfs at /tmp, unless the workspace mounts something
there itself or says "tmpfs = []", and a password made for them, unless VNC_PW is
given. It is shown once, and by "docker kasm session inspect --show-secrets".

With --open the session is opened as "docker kasm open" does, which stays where a port
has to be forwarded; the session goes on when that is interrupted.

Of a server workspace a session is recorded, which can be shown, opened and deleted:
its machine is none of the engine's. Of a link workspace there is none, and its
address is printed.`,
		Example: `  docker kasm run firefox
  docker kasm run --name work -e LANG=de_DE.UTF-8 -p 127.0.0.1:8443:6901 firefox
  docker kasm run --rm --memory 4g --cpus 2 -v "$PWD:/src" firefox`,
		Args: cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := usage.Exclusive(cmd.Flags(), [2]string{"no-wait", "wait-timeout"}); err != nil {
				return err
			}
			return runRun(cmd.Context(), dockerCLI, cmd.Flags(), args[0], options)
		},
		ValidArgsFunction: workspacecmd.CompleteNames(dockerCLI, 1),
	}
	options.settings.install(dockerCLI, cmd)
	flags := cmd.Flags()
	flags.StringVar(&options.name, "name", "", "Assign a name to the session")
	flags.StringVar(&options.pull, "pull", "", `Pull image before launching ("always", "missing", "never"; default is the workspace's policy)`)
	flags.BoolVar(&options.open, "open", false, "Open the session in the browser, as \"docker kasm open\" does")
	flags.BoolVar(&options.noWait, "no-wait", false, "Do not wait until the session answers")
	flags.DurationVar(&options.timeout, "wait-timeout", defaultWait, "Time the session gets to answer")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Suppress the pull output, the address and a password that was made")
	_ = cmd.RegisterFlagCompletionFunc("pull", cobra.FixedCompletions([]string{"always", "missing", "never"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("name", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("wait-timeout", cobra.FixedCompletions([]string{"30s", "2m", "5m"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runRun(ctx context.Context, dockerCLI command.Cli, flags *pflag.FlagSet, name string, options runOptions) error {
	switch options.pull {
	case "", "always", "missing", "never":
	default:
		return usage.Error(fmt.Errorf("invalid value %q for --pull: use always, missing or never", options.pull))
	}
	if options.timeout <= 0 {
		return usage.Error(fmt.Errorf("invalid value %s for --wait-timeout: use a time above zero, or --no-wait", options.timeout))
	}
	overrides, err := options.settings.overrides()
	if err != nil {
		return usage.Error(err)
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
	if ws.Type != workspace.TypeContainer {
		s, err := runMachine(ctx, dockerCLI, where, ws, flags, options)
		if err != nil || s.Name == "" {
			return err
		}
		fmt.Fprintln(dockerCLI.Out(), s.Name)
		return present(ctx, dockerCLI, s, options)
	}
	launched, err := launch(ctx, dockerCLI, where, ws, overrides, options)
	for _, w := range launched.Warnings {
		fmt.Fprintf(dockerCLI.Err(), "warning: %s\n", display.Line(w))
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(dockerCLI.Out(), launched.Session.Name)
	if launched.Password != "" && !options.quiet {
		fmt.Fprintf(dockerCLI.Err(), "User name: %s\nPassword:  %s\n", session.KasmUser, launched.Password)
	}
	if !options.noWait {
		if err := await(ctx, dockerCLI, launched.Session, options); err != nil {
			return err
		}
	}
	return present(ctx, dockerCLI, launched.Session, options)
}

// present opens a session that was just launched, or says where it is.
func present(ctx context.Context, dockerCLI command.Cli, s session.Session, options runOptions) error {
	if options.open {
		return sessioncmd.Open(ctx, dockerCLI, s, sessioncmd.OpenOptions{Out: dockerCLI.Err()})
	}
	if options.quiet {
		return nil
	}
	address := s.Address()
	if address == "" && pagePort(ctx, dockerCLI, s) != 0 {
		address = fmt.Sprintf("its page is not published: `docker kasm open %s` forwards and opens it", s.Name)
	}
	if address != "" {
		fmt.Fprintln(dockerCLI.Err(), display.Line(address))
	}
	return nil
}

// pagePort is the port that a session is opened by, 0 where none is known of.
func pagePort(ctx context.Context, dockerCLI command.Cli, s session.Session) uint16 {
	c, err := dockerCLI.Client().ContainerInspect(ctx, s.ID)
	if err != nil {
		return 0
	}
	page, err := session.FindPage(s, c, 0)
	if err != nil || len(page.Ports) == 0 {
		return 0
	}
	return page.Ports[0]
}

// launch starts a session, and shows the pull.
func launch(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, ws *workspace.Workspace, overrides session.Overrides, options runOptions) (session.Launched, error) {
	layers := progress.Layers(dockerCLI.Err(), dockerCLI.Err().IsTerminal())
	defer layers.Flush()
	o := session.LaunchOptions{
		Name: options.name, Overrides: overrides, Pull: workspace.PullPolicy(options.pull),
		User: connect.UserName(), Now: time.Now(),
		Auth: func(ref string) (string, error) { return pipeline.EncodedAuth(dockerCLI, ref) },
	}
	if !options.quiet {
		o.Progress = layers.Show
	}
	if ws.Scope == catalog.ScopeShare {
		o.PullImage = func(ctx context.Context, ref string) error {
			return pullByHelper(ctx, dockerCLI, where, ref, o.Progress)
		}
	}
	return session.Launch(ctx, dockerCLI.Client(), ws, o)
}

// await waits until the session answers. That it cannot be told is no failure.
func await(ctx context.Context, dockerCLI command.Cli, s session.Session, options runOptions) error {
	o := session.AwaitOptions{Timeout: options.timeout, Local: engine.Local(dockerCLI.Client().DaemonHost())}
	if options.open {
		o.Port = pagePort(ctx, dockerCLI, s)
	}
	if !options.quiet {
		o.Waiting = func(what string) { fmt.Fprintf(dockerCLI.Err(), "waiting for %s\n", what) }
	}
	err := session.Await(ctx, dockerCLI.Client(), s, o)
	var unknown *session.UnknownError
	if errors.As(err, &unknown) {
		fmt.Fprintf(dockerCLI.Err(), "%s\n", display.Line(unknown.Error()))
		return nil
	}
	return err
}
