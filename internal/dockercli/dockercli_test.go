package dockercli

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
)

func TestVersionIsThatOfTheCLIThatStartedThePlugin(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its programs are scripts")
	}
	dir := t.TempDir()
	program := func(name, says string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	started := program("other-docker", "Docker version 20.10.24+dfsg1, build 297e128")
	for name, c := range map[string]struct{ path, by, docker, want string }{
		"on the PATH":    {dir, "", "Docker version 28.5.2, build ecc6942", "28.5.2"},
		"the one before": {dir, started, "Docker version 28.5.2, build ecc6942", "20.10.24+dfsg1"},
		"none":           {t.TempDir(), "", "Docker version 28.5.2, build ecc6942", ""},
		"another docker": {dir, "", "podman version 4.3.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			program("docker", c.docker)
			t.Setenv("PATH", c.path)
			t.Setenv(metadata.ReexecEnvvar, c.by)
			got, err := Version(t.Context())
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v", got, err)
			}
			if none := c.path != dir; errors.Is(err, ErrNone) != none {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestPluginDirsAreInTheOrderOfTheCLI(t *testing.T) {
	dirs := PluginDirs(&configfile.ConfigFile{CLIPluginsExtraDirs: []string{"/extra"}})
	if want := []string{"/extra", filepath.Join(config.Dir(), "cli-plugins")}; !slices.Equal(dirs[:2], want) || len(dirs) < 4 {
		t.Errorf("got %q", dirs)
	}
}
