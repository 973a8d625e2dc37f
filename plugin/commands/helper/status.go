package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
)

func newStatusCommand(dockerCLI command.Cli) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status [OPTIONS]",
		Short: "Show how the helper of this engine is",
		Args:  cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), dockerCLI, format)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", output.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// status is the helper's own with how it is set up.
type status struct {
	// Kind is "container" or "service".
	Kind string
	// Container is the state of its container, "" for a service.
	Container string `json:",omitempty"`
	*helperapi.Status
}

func runStatus(ctx context.Context, dockerCLI command.Cli, format string) error {
	show, err := output.New(format, writeStatus)
	if err != nil {
		return err
	}
	found, err := deploy.Look(ctx, dockerCLI.Client())
	if err != nil {
		return err
	}
	if found.Kind == "" && found.Container == nil {
		return dial.ErrNone
	}
	st := status{Kind: found.Kind}
	if found.Container != nil && found.Container.State != nil {
		st.Container = found.Container.State.Status
	}
	answered, err := ask(ctx, dockerCLI)
	if err == nil {
		st.Status = &answered
	}
	// What is known is shown before the error.
	return errors.Join(show(display.Writer(dockerCLI.Out()), st), err)
}

func ask(ctx context.Context, dockerCLI command.Cli) (helperapi.Status, error) {
	client, err := connect.Helper(ctx, dockerCLI)
	if err != nil {
		return helperapi.Status{}, err
	}
	defer client.Close()
	return client.Status(ctx)
}

func writeStatus(out io.Writer, st status) error {
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	fmt.Fprintf(w, "Kind:\t%s\n", st.Kind)
	if st.Container != "" {
		fmt.Fprintf(w, "Container:\t%s\n", st.Container)
	}
	if st.Status == nil {
		return w.Flush()
	}
	fmt.Fprintf(w, "Version:\t%s\n", st.Version)
	fmt.Fprintf(w, "Up since:\t%s (%s)\n", st.Started.Local().Format(time.DateTime), units.HumanDuration(time.Since(st.Started)))
	if st.Engine.Connected {
		fmt.Fprintf(w, "Engine:\t%s\n", st.Engine.Version)
	} else {
		fmt.Fprintf(w, "Engine:\tnot reached\n")
	}
	for _, state := range slices.Sorted(maps.Keys(st.Workspaces)) {
		fmt.Fprintf(w, "Workspaces %s:\t%d\n", state, st.Workspaces[state])
	}
	for _, state := range task.States() {
		if n := st.Tasks[state]; n > 0 {
			fmt.Fprintf(w, "Tasks %s:\t%d\n", state, n)
		}
	}
	for _, r := range st.Registries {
		asked := "never asked"
		if !r.Asked.IsZero() {
			asked = "last asked " + units.HumanDuration(time.Since(r.Asked)) + " ago"
		}
		if r.Error != "" {
			asked += ": " + r.Error
		}
		fmt.Fprintf(w, "Registry %s:\t%s\n", r.Host, asked)
	}
	if st.Disk != nil {
		fmt.Fprintf(w, "Free disk:\t%s of %s\n", units.HumanSizeWithPrecision(float64(st.Disk.Free), 3), units.HumanSizeWithPrecision(float64(st.Disk.Total), 3))
	}
	if st.BadFiles > 0 {
		fmt.Fprintf(w, "Bad files:\t%d\n", st.BadFiles)
	}
	return w.Flush()
}
