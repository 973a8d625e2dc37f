// Package detached runs hidden commands of this program in processes that outlive
// the one that starts them.
package detached

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/docker/cli/cli-plugins/metadata"
)

// Command returns the command, not yet started, that runs this program with args as
// `docker kasm` would, after the global options. Signals of the terminal do not reach
// it.
func Command(options []string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// No context ends it: outliving this process is what it is for.
	cmd := exec.CommandContext(context.Background(), self, slices.Concat(options, []string{"kasm"}, args)...) //nolint:gosec // this program
	// Without the docker CLI's socket, whose end would end it as well, and as a
	// plugin, also where this process runs by itself.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "DOCKER_CLI_PLUGIN_SOCKET=") })
	cmd.Env = append(cmd.Env, metadata.ReexecEnvvar+"=docker")
	detach(cmd)
	return cmd, nil
}
