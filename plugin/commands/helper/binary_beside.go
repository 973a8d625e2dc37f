//go:build !embedhelper

package helper

import "embed"

// programs is for release builds: there is none in others.
var programs embed.FS
