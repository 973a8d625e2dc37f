//go:build !embedhelper

package helper

import (
	"io/fs"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
)

// embedded is for release builds.
func embedded(string) (deploy.Binary, error) { return deploy.Binary{}, fs.ErrNotExist }
