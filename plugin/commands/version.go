package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/docker/cli/templates"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
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
	cmd.Flags().StringVarP(&format, "format", "f", "", flagsHelper.InspectFormatHelp)
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
	v := versions{Plugin: version.Get(), Context: dockerCLI.CurrentContext()}
	server, err := dockerCLI.Client().ServerVersion(ctx)
	if err != nil {
		v.EngineError = err.Error()
	} else {
		v.Engine = &engineVersion{server.Version, server.APIVersion, server.Os + "/" + server.Arch}
	}
	out := display.Writer(dockerCLI.Out())
	if format != "" {
		if format == formatter.JSONFormatKey {
			format = formatter.JSONFormat
		}
		tmpl, err := templates.Parse(format)
		if err != nil {
			return usage.Error(fmt.Errorf("template parsing error: %w", err))
		}
		if err := tmpl.Execute(out, v); err != nil {
			return fmt.Errorf("template parsing error: %w", err)
		}
		_, err = fmt.Fprintln(out)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	fmt.Fprintf(w, "Plugin:\t%s\n", strings.TrimSpace(v.Plugin.Version+" "+v.Plugin.Revision))
	fmt.Fprintf(w, "Go:\t%s (%s)\n", v.Plugin.GoVersion, v.Plugin.Platform)
	fmt.Fprintf(w, "Context:\t%s\n", v.Context)
	if v.Engine != nil {
		fmt.Fprintf(w, "Engine:\t%s (API %s, %s)\n", v.Engine.Version, v.Engine.APIVersion, v.Engine.Platform)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return err
}
