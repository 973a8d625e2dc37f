// Package version tells which build of the project this is.
package version

import (
	"runtime"
	"runtime/debug"
)

// Info describes a build.
type Info struct {
	// Version is the release, such as "v0.1.0", or "dev".
	Version string
	// Revision is the commit it was built from, with "-dirty" where the tree
	// had changes; "" when the build did not record it.
	Revision  string
	GoVersion string
	Platform  string
}

// release is set by the linker for release builds.
var release = "dev"

// Get reads the build information of the running program.
func Get() Info {
	info := Info{Version: release, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	dirty := ""
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision":
			info.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if info.Revision != "" {
		info.Revision += dirty
	}
	return info
}
