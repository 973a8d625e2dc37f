package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/docker/cli/cli/command/container"
	"github.com/moby/term"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

func newExecCommand(dockerCLI command.Cli) *cobra.Command {
	options := container.NewExecOptions()
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SESSION [COMMAND] [ARG...]",
		Short: "Run a command in a session, or a shell",
		Long: `Run a command in a running session, as "docker exec" does. Its exit status is that
of the command.

Without a command it is a shell, bash where the session has it: interactive and with
a terminal where standard input is one, else one that reads its commands from
standard input.`,
		Example: `  docker kasm exec firefox-3f9a1c
  docker kasm exec -u root firefox-3f9a1c apt-get update
  docker kasm exec firefox-3f9a1c <setup.sh`,
		Args: cli.RequiresMinArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options.Command = args[1:]
			return runExec(cmd.Context(), dockerCLI, args[0], options)
		},
		ValidArgsFunction: completeFirst(dockerCLI, session.Exec),
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&options.DetachKeys, "detach-keys", "", "Override the key sequence for detaching from the session")
	flags.BoolVarP(&options.Interactive, "interactive", "i", false, "Keep STDIN open even if not attached")
	flags.BoolVarP(&options.TTY, "tty", "t", false, "Allocate a pseudo-TTY")
	flags.BoolVarP(&options.Detach, "detach", "d", false, "Detached mode: run command in the background")
	flags.StringVarP(&options.User, "user", "u", "", `Username or UID (format: "<name|uid>[:<group|gid>]")`)
	flags.BoolVar(&options.Privileged, "privileged", false, "Give extended privileges to the command")
	flags.VarP(&options.Env, "env", "e", "Set environment variables")
	flags.Var(&options.EnvFile, "env-file", "Read in a file of environment variables")
	flags.StringVarP(&options.Workdir, "workdir", "w", "", "Working directory inside the session")
	_ = cmd.RegisterFlagCompletionFunc("env", completion.EnvVarNames)
	_ = cmd.RegisterFlagCompletionFunc("env-file", completion.FileNames)
	for _, flag := range []string{"detach-keys", "user", "workdir"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

// shell runs the better of the shells that a session may have.
const shell = "if command -v bash >/dev/null 2>&1; then exec bash; fi; exec sh"

func runExec(ctx context.Context, dockerCLI command.Cli, name string, options container.ExecOptions) error {
	if len(options.Command) == 0 {
		if options.Detach {
			return usage.Error(errors.New("a shell cannot be detached: give a command"))
		}
		options.Command = []string{"/bin/sh", "-c", shell}
		options.Interactive = true
		options.TTY = options.TTY || dockerCLI.In().IsTerminal() && dockerCLI.Out().IsTerminal()
	}
	s, err := findOne(ctx, dockerCLI, name)
	if err != nil {
		return err
	}
	if err := check(ctx, dockerCLI, s, session.Exec); err != nil {
		return err
	}
	err = container.RunExec(ctx, dockerCLI, s.ID, options)
	var status cli.StatusError
	var detached term.EscapeError
	if err == nil || errors.As(err, &status) || errors.As(err, &detached) {
		// Who detaches has not failed to run it: "docker exec" says the same.
		return err
	}
	return fmt.Errorf("run a command in session %q: %w", s.Name, err)
}
