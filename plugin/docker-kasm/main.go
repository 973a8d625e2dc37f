// Command docker-kasm is a Docker CLI plugin that manages sessions: desktops
// and development environments in containers. It runs as `docker kasm` and, by
// itself, as `docker-kasm`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli-plugins/plugin"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/debug"
	"go.opentelemetry.io/otel"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/plugin/commands"
	"github.com/docker-kasm/docker-kasm/plugin/commands/globals"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

const exitInterrupted = 130

func main() {
	standalone := plugin.RunningStandalone()
	if standalone {
		os.Args = standaloneArgs(os.Args)
	}
	os.Exit(run(standalone))
}

func run(standalone bool) int {
	ctx, cancel := signalContext()
	defer cancel()
	if !standalone {
		followCLI(cancel)
	}
	otel.SetErrorHandler(debug.OTELErrorHandler)
	dockerCLI, err := command.NewDockerCli()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = plugin.RunPlugin(dockerCLI, commands.New(ctx, dockerCLI), metadata.Metadata{
		SchemaVersion:    "0.1.0",
		Vendor:           "docker-kasm",
		Version:          version.Get().Version,
		ShortDescription: commands.Short,
		URL:              "https://github.com/docker-kasm/docker-kasm",
	})
	if err == nil {
		return 0
	}
	// A cancelled context is a signal, or the docker CLI that has gone: the
	// error then says where the work stopped.
	interrupted := ctx.Err() != nil || errors.Is(err, context.Canceled)
	var status cli.StatusError
	isStatus := errors.As(err, &status)
	if message := tidy(err.Error()); message != "" {
		fmt.Fprintln(dockerCLI.Err(), display.Text(message))
	}
	switch {
	case interrupted:
		return exitInterrupted
	case isStatus && status.StatusCode != 0:
		return status.StatusCode
	case usage.Is(err):
		return usage.Status
	}
	return 1
}

// tidy makes lines as terminals want them of what other programs have said, ssh among
// them, which ends each in a carriage return.
func tidy(message string) string {
	return strings.TrimRight(strings.ReplaceAll(message, "\r\n", "\n"), "\n")
}

// signalContext is cancelled by the first SIGINT, SIGTERM or SIGHUP, so that the work
// under way can be wound up; the third ends the process at once.
func signalContext() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// A terminal that is closed interrupts too, unless nohup says otherwise.
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		for n := 1; ; n++ {
			<-signals
			cancel()
			if n == 3 {
				fmt.Fprintln(os.Stderr, "got 3 SIGTERM/SIGINTs, forcefully exiting")
				os.Exit(exitInterrupted)
			}
		}
	}()
	return ctx, cancel
}

// standaloneArgs turns `docker-kasm [GLOBAL OPTIONS] COMMAND` into the command
// line the docker CLI would hand over: `docker [GLOBAL OPTIONS] kasm COMMAND`.
func standaloneArgs(args []string) []string {
	rest := args[1:]
	if len(rest) > 0 && (rest[0] == "__complete" || rest[0] == "__completeNoDesc") {
		return append([]string{"docker", rest[0], "kasm"}, rest[1:]...)
	}
	own := globals.Of(args)
	return slices.Concat([]string{"docker"}, own, []string{"kasm"}, rest[len(own):])
}
