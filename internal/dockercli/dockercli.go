// Package dockercli knows the docker CLI that this program is a plugin of.
package dockercli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
)

// ErrNone means that there is no docker CLI here: the program runs by itself.
var ErrNone = errors.New("there is no docker CLI on the PATH")

var versionLine = regexp.MustCompile(`^Docker version ([0-9][^\s,]*)`)

// Version asks the docker CLI for its version, such as "28.5.2": the one that
// started this plugin, or else the one on the PATH.
func Version(ctx context.Context) (string, error) {
	name := os.Getenv(metadata.ReexecEnvvar)
	if name == "" {
		name = "docker"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", ErrNone
	}
	cmd := exec.CommandContext(ctx, path, "--version") //nolint:gosec // it is what has started this program
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask the docker CLI for its version: %w", err)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("ask the docker CLI for its version: %q says none", path)
	}
	return string(m[1]), nil
}

// PluginDirs are the folders that the docker CLI looks for plugins in. It takes the
// first it finds. (docker/cli, cli-plugins/manager/manager.go, getPluginDirs)
func PluginDirs(file *configfile.ConfigFile) []string {
	var dirs []string
	if file != nil {
		dirs = append(dirs, file.CLIPluginsExtraDirs...)
	}
	return append(append(dirs, filepath.Join(config.Dir(), "cli-plugins")), systemDirs()...)
}
