package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/dockercli"
)

// Plugin tells where the plugin is, and which one the docker CLI takes: it looks
// in dirs for a file, and takes the first. version is that of the program at self,
// which runs.
func Plugin(version, self string, dirs []string, file string) Check {
	return Check{"plugin", func(context.Context) []Finding {
		var taken string
		var others []string
		for _, dir := range dirs {
			path := filepath.Join(dir, file)
			if info, err := os.Stat(path); err != nil || info.IsDir() {
				continue
			}
			switch {
			case taken == "":
				taken = path
			case !same(path, taken):
				others = append(others, path)
			}
		}
		switch {
		case taken == "":
			return warning("to use it as `docker kasm`, put it or a link to it at "+filepath.Join(dirs[0], file),
				"%s at %s, which the docker CLI does not find", version, self)
		case !executable(taken):
			return failed("chmod +x "+taken, "%s cannot be run, and it is what the docker CLI takes", taken)
		case !same(self, taken):
			return warning("remove the one that you do not want", "%s at %s runs, but the docker CLI takes %s", version, self, taken)
		case len(others) > 0:
			return warning("remove those that you do not want", "%s at %s; the docker CLI takes it before %s", version, taken, strings.Join(others, " and "))
		}
		return ok("%s at %s", version, taken)
	}}
}

func same(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0)
}

var leading = regexp.MustCompile(`^(\d+)\.(\d+)`)

// before compares a version such as 20.10.24 with a major and minor number; what is
// no version is not before any.
func before(version string, major, minor int) bool {
	m := leading.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	first, _ := strconv.Atoi(m[1])
	second, _ := strconv.Atoi(m[2])
	return first < major || first == major && second < minor
}

// CLI tells which docker CLI there is; version asks for it.
func CLI(version func(context.Context) (string, error)) Check {
	return Check{"cli", func(ctx context.Context) []Finding {
		const install = "install a current docker CLI: https://docs.docker.com/engine/install/"
		switch v, err := version(ctx); {
		case errors.Is(err, dockercli.ErrNone):
			return warning(install, "there is none on the PATH: everything works as `docker-kasm` only")
		case err != nil:
			return warning(install, "%s", err)
		case before(v, 19, 3):
			return failed(install, "docker CLI %s is too old for plugins, which need 19.03", v)
		case before(v, 20, 10):
			return warning(install, "docker CLI %s is older than those that this plugin is tested with, from 20.10 on", v)
		default:
			return ok("docker CLI %s", v)
		}
	}}
}
