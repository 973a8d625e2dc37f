package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	"github.com/docker/cli/templates"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

func newInspectCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "inspect [OPTIONS] SESSION [SESSION...]",
		Aliases: []string{"view"},
		Short:   "Show everything about one or more sessions",
		Long: `Show a session's workspace, image, state and since when, address, mounts, what
it uses and has written, when it expires, and what can be done with it now.`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), dockerCLI, args, format)
		},
		ValidArgsFunction: completeNames(dockerCLI, session.View),
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", `Format output using a custom template:
'json':             Print in JSON format, one object a line
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates`)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runInspect(ctx context.Context, dockerCLI command.Cli, names []string, format string) error {
	render, err := renderer(format)
	if err != nil {
		return usage.Error(err)
	}
	found, err := session.FindAll(ctx, dockerCLI.Client(), names)
	if err != nil {
		return err
	}
	out := display.Writer(dockerCLI.Out())
	var errs []error
	shown := 0
	for _, f := range found {
		if f.Err != nil {
			errs = append(errs, f.Err)
			continue
		}
		d, err := session.Inspect(ctx, dockerCLI.Client(), f.Session)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if shown++; shown > 1 && format == "" {
			fmt.Fprintln(out)
		}
		if err := render(out, d); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// renderer returns how details are printed: for people, as JSON, or by a
// template.
func renderer(format string) (func(io.Writer, session.Details) error, error) {
	switch format {
	case "":
		return writeDetails, nil
	case formatter.JSONFormatKey:
		return func(out io.Writer, d session.Details) error { return json.NewEncoder(out).Encode(d) }, nil
	}
	tmpl, err := templates.Parse(format)
	if err != nil {
		return nil, fmt.Errorf("template parsing error: %w", err)
	}
	return func(out io.Writer, d session.Details) error {
		if err := tmpl.Execute(out, d); err != nil {
			return fmt.Errorf("template parsing error: %w", err)
		}
		_, err := fmt.Fprintln(out)
		return err
	}, nil
}
