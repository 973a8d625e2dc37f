// Package catalog finds the user's files below the docker CLI's configuration.
package catalog

import (
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"

	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// User is the catalog of scope user: the files in
// $DOCKER_CONFIG/kasm/workspaces.
func User() *workspace.Catalog {
	return workspace.Open(filepath.Join(config.Dir(), "kasm", "workspaces"))
}

// Pushes are the records of pushes that failed, beside the catalog.
func Pushes() push.Records {
	return push.OpenRecords(filepath.Join(config.Dir(), "kasm", "pushes"))
}

// LockDir is where snapshots keep their locks: beside the catalog, or in a
// folder of this user's below the temporary one where that cannot be written.
func LockDir() string {
	dir := filepath.Join(config.Dir(), "kasm", "locks")
	if err := os.MkdirAll(dir, 0o700); err == nil {
		if f, err := os.CreateTemp(dir, ".probe-*"); err == nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			return dir
		}
	}
	if cache, err := os.UserCacheDir(); err == nil {
		return filepath.Join(cache, "docker-kasm", "locks")
	}
	return filepath.Join(os.TempDir(), "docker-kasm-locks")
}
