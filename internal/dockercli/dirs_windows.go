package dockercli

import (
	"os"
	"path/filepath"
)

// Executable is how the file of a plugin is called.
const Executable = "docker-kasm.exe"

func systemDirs() []string {
	return []string{
		filepath.Join(os.Getenv("ProgramData"), "Docker", "cli-plugins"),
		filepath.Join(os.Getenv("ProgramFiles"), "Docker", "cli-plugins"),
	}
}
