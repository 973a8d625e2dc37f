package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/forward"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/browse"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/helper"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// OpenOptions say how a session is opened.
type OpenOptions struct {
	// Port is the session's, 0 for the one that is known to show it.
	Port uint16
	// LocalPort is this machine's where the port is forwarded, 0 for a free one.
	LocalPort uint16
	// Forward forwards the port also where that is not needed.
	Forward bool
	// Print starts no browser.
	Print bool
	// Out gets the address; nil is standard output.
	Out io.Writer
}

func newOpenCommand(dockerCLI command.Cli) *cobra.Command {
	var options OpenOptions
	cmd := &cobra.Command{
		Use:   "open [OPTIONS] SESSION [PORT]",
		Short: "Open a session in the browser",
		Long: `Open what a session shows in the browser, and print its address: that of run.open
in its workspace, else that of the port of Kasm's desktops (6901), else that of the
lowest port it publishes or exposes. PORT names another one.

A port that is published on this machine's engine is opened as it is. Where the
engine is on another machine (an ssh or tcp context), or the port is not published,
a port of this machine's loopback address is forwarded to it through the connection
to the engine. No port is opened to any network, and connections go on until the
session stops or the command is interrupted, which ends it with status 130. A small
container with the helper's program is the far end; it goes with the command.

A session of a server workspace is opened by the address of its machine.

Where no browser can be started, the address is there to be opened by hand.`,
		Example: `  docker kasm open firefox-3f9a1c
  docker --context remote kasm open --print --port 8443 firefox-3f9a1c
  docker kasm open jupyter-11aa22 8888`,
		Args: cli.RequiresRangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				port, err := parsePort(args[1])
				if err != nil {
					return err
				}
				options.Port = port
			}
			if cmd.Flags().Changed("port") {
				options.Forward = true
			}
			s, err := findOne(cmd.Context(), dockerCLI, args[0])
			if err != nil {
				return err
			}
			return Open(cmd.Context(), dockerCLI, s, options)
		},
		ValidArgsFunction: completeOpen(dockerCLI),
	}
	flags := cmd.Flags()
	flags.Uint16VarP(&options.LocalPort, "port", "p", 0, "Forward this port of this machine (default is a free one where it is needed)")
	flags.BoolVar(&options.Forward, "forward", false, "Forward the port also where it is published on this machine")
	flags.BoolVar(&options.Print, "print", false, "Print the address, and start no browser")
	_ = cmd.RegisterFlagCompletionFunc("port", cobra.NoFileCompletions)
	return cmd
}

// parsePort reads a TCP port as docker port takes it.
func parsePort(text string) (uint16, error) {
	number, proto, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || proto != "" && proto != "tcp" {
		return 0, usage.Error(fmt.Errorf("invalid port %q: give that of a TCP port, such as 8080", text))
	}
	return uint16(n), nil
}

// Open opens a session: it returns at once where that needs no forwarding, else
// when the session stops or ctx is done.
func Open(ctx context.Context, dockerCLI command.Cli, s session.Session, o OpenOptions) error {
	if err := check(ctx, dockerCLI, s, session.Open); err != nil {
		return err
	}
	if o.Out == nil {
		o.Out = dockerCLI.Out()
	}
	if s.Kind == session.Server {
		if o.Port != 0 || o.Forward {
			return usage.Error(fmt.Errorf("session %q is of a server workspace, whose machine is reached by its own address: no port of it is forwarded", s.Name))
		}
		return Show(ctx, dockerCLI, s.Address(), o)
	}
	c, err := dockerCLI.Client().ContainerInspect(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("inspect session %q: %w", s.Name, err)
	}
	page, err := session.FindPage(s, c, o.Port)
	if err != nil {
		return err
	}
	// What an engine here publishes on its loopback address is on ours.
	near := engine.Local(dockerCLI.DockerEndpoint().Host) || !page.Local()
	if page.Published() && near && !o.Forward {
		address, err := page.AtEngine()
		if err != nil {
			return fmt.Errorf("open session %q: %w", s.Name, err)
		}
		return Show(ctx, dockerCLI, address, o)
	}
	if len(page.Ports) == 0 {
		return fmt.Errorf("open session %q: no port is in its address %q to be forwarded: name one", s.Name, display.Line(page.Template))
	}
	options := forward.Options{
		Session: s.ID, Name: s.Name,
		Image:  func(ctx context.Context) (string, error) { return helper.Image(ctx, dockerCLI) },
		Report: func(line string) { fmt.Fprintln(dockerCLI.Err(), display.Line(line)) },
	}
	if c.HostConfig != nil {
		options.UsernsMode = c.HostConfig.UsernsMode
	}
	return forwardPage(ctx, dockerCLI, page, options, o)
}

// forwardPage forwards all ports of a page, the first to the local port that is
// wanted, and shows it.
func forwardPage(ctx context.Context, dockerCLI command.Cli, page session.Page, options forward.Options, o OpenOptions) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ports := map[uint16]uint16{}
	ended := make(chan error, len(page.Ports))
	want := o.LocalPort
	for _, port := range page.Ports {
		// First, so that nothing is made for a port that is taken.
		listener, failed := forward.Listen(ctx, want)
		if failed != nil {
			return failed
		}
		defer listener.Close()
		want = 0
		ports[port] = listener.Port()
		options.Port = port
		tunnel, failed := forward.Open(ctx, dockerCLI.Client(), options)
		if failed != nil {
			return failed
		}
		defer func() { err = also(err, tunnel.Close()) }()
		go func() { ended <- tunnel.Serve(ctx, listener) }()
	}
	address, err := page.Forwarded(ports)
	if err != nil {
		return fmt.Errorf("open session %q: %w", options.Name, err)
	}
	fmt.Fprintf(dockerCLI.Err(), "forwarding port %s of session %q until you press Ctrl-C\n", numbers(page.Ports), display.Line(options.Name))
	if err := Show(ctx, dockerCLI, address, o); err != nil {
		return err
	}
	err = <-ended
	if errors.Is(err, context.Canceled) {
		// That is how it is meant to end.
		return cli.StatusError{StatusCode: 130}
	}
	return err
}

// also adds what could not be tidied up to the error that a command ends with, which
// may be nothing but a status.
func also(err, left error) error {
	var status cli.StatusError
	if left == nil || !errors.As(err, &status) || err.Error() != "" {
		return errors.Join(err, left)
	}
	status.Cause = left
	return status
}

func numbers(ports []uint16) string {
	text := make([]string, len(ports))
	for i, p := range ports {
		text[i] = strconv.Itoa(int(p))
	}
	return strings.Join(text, ", ")
}

// Show prints an address and opens it. That no browser can be started is no failure.
func Show(ctx context.Context, dockerCLI command.Cli, address string, o OpenOptions) error {
	if _, err := fmt.Fprintln(o.Out, display.Line(address)); err != nil {
		return err
	}
	if o.Print {
		return nil
	}
	if err := browse.Open(ctx, address); err != nil {
		fmt.Fprintf(dockerCLI.Err(), "%s: open the address by hand\n", display.Line(err.Error()))
	}
	return nil
}

// completeOpen offers sessions, and then the ports of the one that is named.
func completeOpen(dockerCLI command.Cli) cobra.CompletionFunc {
	sessions := completeFirst(dockerCLI, session.Open)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) != 1 {
			return sessions(cmd, args, toComplete)
		}
		ctx, cancel := connect.Completing(cmd)
		defer cancel()
		s, err := findOne(ctx, dockerCLI, args[0])
		if err != nil || s.Kind == session.Server {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := dockerCLI.Client().ContainerInspect(ctx, s.ID)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ports []string
		for _, port := range session.ExposedPorts(c) {
			ports = append(ports, strconv.Itoa(int(port)))
		}
		return ports, cobra.ShellCompDirectiveNoFileComp
	}
}
