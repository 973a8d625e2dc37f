//go:build embedhelper

package helper

import "embed"

// programs are made by `make release`.
//
//go:embed embedded/kasm-helper-linux-*.gz
var programs embed.FS
