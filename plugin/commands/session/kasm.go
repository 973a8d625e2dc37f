package session

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/prompt"
)

// forceHelp describes --force of commands that ask about Kasm's own sessions only.
const forceHelp = "Do not ask about sessions that are managed by Kasm"

func forceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVarP(force, "force", "f", false, forceHelp)
}

// ofKasm says what may come of it that some sessions are managed by a Kasm server,
// "" if none is.
func ofKasm(targets []target) string {
	var names []string
	for _, t := range targets {
		if t.session.Kind == session.Agent {
			names = append(names, display.Line(t.label()))
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s is managed by Kasm: its server will see this, and may act against it.", names[0])
	}
	return fmt.Sprintf("%s are managed by Kasm: its server will see this, and may act against it.", strings.Join(names, ", "))
}

// askForKasm asks before something is done to sessions that a Kasm server manages;
// done is what is said not to have been, such as "stopped".
func askForKasm(ctx context.Context, dockerCLI command.Cli, done string, force bool) permission {
	return func(targets []target) (bool, error) {
		warning := ofKasm(targets)
		if warning == "" || force {
			return false, nil
		}
		return true, prompt.Confirm(ctx, dockerCLI, prompt.Texts{
			Warning:    warning,
			NoTerminal: strings.TrimSuffix(warning, ".") + "; give --force where nobody can be asked",
			Declined:   "nothing was " + done,
		})
	}
}

// nobodyIsAsked lets everything be done.
func nobodyIsAsked([]target) (bool, error) { return false, nil }
