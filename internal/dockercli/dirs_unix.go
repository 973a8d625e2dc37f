//go:build !windows

package dockercli

// Executable is how the file of a plugin is called.
const Executable = "docker-kasm"

func systemDirs() []string {
	return []string{
		"/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
		"/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
	}
}
