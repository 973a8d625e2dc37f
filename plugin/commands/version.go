package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	"github.com/docker/docker/api/types"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/dockercli"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

// enginePatience is how long an engine may take to answer. One that takes connections
// and does nothing with them is not waited for any longer.
const enginePatience = 10 * time.Second

// versionPatience bounds each of the questions whose answer can be done without:
// those to the docker CLI and the helper.
const versionPatience = 3 * time.Second

func newVersionCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the versions of the plugin, the CLI, the engine and the helper",
		Long: `Show the versions of the plugin, the CLI, the engine and the helper.

What is known is shown also if the engine does not answer; it gets 10 seconds for
that. The exit status is then 1.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runVersion(cmd.Context(), dockerCLI, format)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", output.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

type versions struct {
	Plugin version.Info
	// CLI is the docker CLI's, "" where there is none or it does not tell.
	CLI string `json:",omitempty"`
	// Engine is nil when no engine answers; EngineError then says why.
	Engine      *engineVersion `json:",omitempty"`
	EngineError string         `json:",omitempty"`
	// Helper is nil when no engine answers, or when it has no helper.
	Helper  *helperVersion `json:",omitempty"`
	Context string
}

type engineVersion struct{ Version, APIVersion, Platform string }

// helperVersion has a Version, or an Error that says why that is not known.
type helperVersion struct {
	// Kind is "container" or "service", "" where that is not known either.
	Kind    string `json:",omitempty"`
	Version string `json:",omitempty"`
	Commit  string `json:",omitempty"`
	Error   string `json:",omitempty"`
}

func runVersion(ctx context.Context, dockerCLI command.Cli, format string) error {
	show, err := output.New(format, writeVersions)
	if err != nil {
		return err
	}
	v := versions{Plugin: version.Get(), Context: dockerCLI.CurrentContext()}
	var engineErr error
	var all errgroup.Group
	all.Go(func() error {
		ctx, cancel := context.WithTimeout(ctx, versionPatience)
		defer cancel()
		v.CLI, _ = dockercli.Version(ctx) // the plugin may run by itself
		return nil
	})
	all.Go(func() error {
		server, err := askEngine(ctx, dockerCLI)
		if err != nil {
			engineErr, v.EngineError = err, err.Error()
			return nil
		}
		v.Engine = &engineVersion{server.Version, server.APIVersion, server.Os + "/" + server.Arch}
		v.Helper = askHelper(ctx, dockerCLI)
		return nil
	})
	_ = all.Wait() // each has put its error where it is shown
	// As with `docker version`, what is known is shown before the error.
	return errors.Join(show(display.Writer(dockerCLI.Out()), v), engineErr)
}

func askEngine(ctx context.Context, dockerCLI command.Cli) (types.Version, error) {
	timed, cancel := context.WithTimeout(ctx, enginePatience)
	defer cancel()
	server, err := dockerCLI.Client().ServerVersion(timed)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		return server, fmt.Errorf("the engine at %s does not answer within %s: see whether it is stuck, or its machine out of reach", dockerCLI.DockerEndpoint().Host, enginePatience)
	}
	return server, err
}

// askHelper returns nil if the engine has no helper.
func askHelper(ctx context.Context, dockerCLI command.Cli) *helperVersion {
	ctx, cancel := context.WithTimeout(ctx, versionPatience)
	defer cancel()
	var v helperVersion
	way, err := dial.Find(ctx, dockerCLI.Client(), dockerCLI.DockerEndpoint().Host)
	if errors.Is(err, dial.ErrNone) {
		return nil
	}
	if err != nil {
		v.Error = err.Error()
		return &v
	}
	v.Kind = way.Kind
	client := connect.By(way)
	defer client.Close()
	theirs, err := client.Version(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", versionPatience)
	}
	if err != nil {
		v.Error = err.Error()
	}
	v.Version, v.Commit = theirs.Version, theirs.Commit
	return &v
}

func writeVersions(out io.Writer, v versions) error {
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	fmt.Fprintf(w, "Plugin:\t%s\n", strings.TrimSpace(v.Plugin.Version+" "+v.Plugin.Revision))
	fmt.Fprintf(w, "Go:\t%s (%s)\n", v.Plugin.GoVersion, v.Plugin.Platform)
	if v.CLI != "" {
		fmt.Fprintf(w, "CLI:\t%s\n", v.CLI)
	}
	fmt.Fprintf(w, "Context:\t%s\n", v.Context)
	if v.Engine != nil {
		fmt.Fprintf(w, "Engine:\t%s (API %s, %s)\n", v.Engine.Version, v.Engine.APIVersion, v.Engine.Platform)
		fmt.Fprintf(w, "Helper:\t%s\n", helperText(v.Helper))
	}
	return w.Flush()
}

func helperText(h *helperVersion) string {
	switch {
	case h == nil:
		return "not installed"
	case h.Error != "":
		return "not reached: " + display.Line(h.Error)
	}
	return fmt.Sprintf("%s (%s)", strings.TrimSpace(h.Version+" "+h.Commit), h.Kind)
}
