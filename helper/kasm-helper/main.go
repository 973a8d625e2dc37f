// Command kasm-helper stands beside a Docker engine and keeps what everyone who
// uses that engine shares: see `docker kasm helper`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/version"
)

const exitUsage = 125

// invalidError is bad usage: a value that a flag cannot have.
type invalidError struct{ error }

func invalid(flag string, value any, want string) error {
	return invalidError{fmt.Errorf("invalid value %q for --%s: %s", fmt.Sprint(value), flag, want)}
}

func main() { os.Exit(run()) }

func run() int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	// Wrong flags and arguments are told from what fails later.
	usage := true
	cmd := &cobra.Command{
		Use:               "kasm-helper",
		Short:             "Keep workspaces, snapshots and lifetimes of sessions beside a Docker engine",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRun:  func(*cobra.Command, []string) { usage = false },
	}
	cmd.AddCommand(newServeCommand(), newDialCommand(), newForwardCommand(), newVersionCommand())
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, display.Text(err.Error()))
		var value invalidError
		if usage || errors.As(err, &value) {
			return exitUsage
		}
		return 1
	}
	return 0
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := version.Get()
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "kasm-helper", v.Version, v.Revision, v.GoVersion, v.Platform)
			return err
		},
	}
}
