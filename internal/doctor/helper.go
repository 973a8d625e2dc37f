package doctor

import (
	"context"
	"errors"

	"golang.org/x/mod/semver"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// HelperAPI is what is asked of a helper.
type HelperAPI interface {
	Version(ctx context.Context) (helperapi.VersionInfo, error)
	Ready(ctx context.Context) error
}

// Helper tells whether the engine has a helper, and how that is. connect returns
// dial.ErrNone where there is none; version is that of the plugin.
func (e *Engine) Helper(version string, connect func(context.Context) (HelperAPI, error)) Check {
	return e.needed("helper", func(ctx context.Context) []Finding {
		h, err := connect(ctx)
		if errors.Is(err, dial.ErrNone) {
			return ok("not installed; nothing needs it but what goes on while nobody is logged in: `docker kasm helper install`")
		}
		if err != nil {
			return failed("docker kasm helper status", "it cannot be reached: %s", err)
		}
		theirs, err := h.Version(ctx)
		if err != nil {
			return failed("look at its log: docker kasm helper logs", "it does not answer: %s", err)
		}
		if err := h.Ready(ctx); err != nil {
			return failed("look at its log: docker kasm helper logs", "helper %s: %s", theirs.Version, err)
		}
		switch order := compare(theirs.Version, version); {
		case order < 0:
			return warning("docker kasm helper upgrade", "helper %s is older than this plugin (%s)", theirs.Version, version)
		case order > 0:
			return warning("upgrade the plugin", "helper %s is newer than this plugin (%s)", theirs.Version, version)
		}
		return ok("helper %s is ready", theirs.Version)
	})
}

// compare compares versions such as v1.2.3; others, such as "dev", are neither
// older nor newer.
func compare(a, b string) int {
	if !semver.IsValid(a) || !semver.IsValid(b) {
		return 0
	}
	return semver.Compare(a, b)
}
