package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

func newVersionCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the versions of the plugin, the CLI and the engine",
		Args:  cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runVersion(cmd.Context(), dockerCLI, format)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", output.FormatHelp)
	return cmd
}

type versions struct {
	Plugin version.Info
	// Engine is nil when no engine answers; EngineError then says why.
	Engine      *engineVersion `json:",omitempty"`
	EngineError string         `json:",omitempty"`
	Context     string
}

type engineVersion struct{ Version, APIVersion, Platform string }

func runVersion(ctx context.Context, dockerCLI command.Cli, format string) error {
	show, err := output.New(format, writeVersions)
	if err != nil {
		return err
	}
	v := versions{Plugin: version.Get(), Context: dockerCLI.CurrentContext()}
	server, engineErr := dockerCLI.Client().ServerVersion(ctx)
	if engineErr != nil {
		v.EngineError = engineErr.Error()
	} else {
		v.Engine = &engineVersion{server.Version, server.APIVersion, server.Os + "/" + server.Arch}
	}
	// As with `docker version`, what is known is shown before the error.
	return errors.Join(show(display.Writer(dockerCLI.Out()), v), engineErr)
}

func writeVersions(out io.Writer, v versions) error {
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	fmt.Fprintf(w, "Plugin:\t%s\n", strings.TrimSpace(v.Plugin.Version+" "+v.Plugin.Revision))
	fmt.Fprintf(w, "Go:\t%s (%s)\n", v.Plugin.GoVersion, v.Plugin.Platform)
	fmt.Fprintf(w, "Context:\t%s\n", v.Context)
	if v.Engine != nil {
		fmt.Fprintf(w, "Engine:\t%s (API %s, %s)\n", v.Engine.Version, v.Engine.APIVersion, v.Engine.Platform)
	}
	return w.Flush()
}
