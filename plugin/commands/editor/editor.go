// Package editor lets the user change a workspace file in their own editor.
package editor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/docker/cli/cli/command"
	"github.com/google/shlex"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/prompt"
)

// Edit opens data in $VISUAL or $EDITOR and returns the valid text the user
// saved. A text with errors is opened again where there is a terminal to ask
// on; else, or when the user gives up, it is kept and the error names its path.
func Edit(ctx context.Context, dockerCLI command.Cli, name string, data []byte) ([]byte, error) {
	file, err := os.CreateTemp("", name+"-*.toml")
	if err != nil {
		return nil, fmt.Errorf("make a file to edit: %w", err)
	}
	path := file.Name()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s to edit it: %w", path, err), os.Remove(path))
	}
	for {
		if err := open(ctx, dockerCLI, path); err != nil {
			return nil, kept(path, data, err)
		}
		edited, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the edited file: %w", err)
		}
		_, err = workspace.Decode(name, path, edited)
		if err == nil {
			return edited, os.Remove(path)
		}
		if !dockerCLI.In().IsTerminal() {
			return nil, kept(path, data, err)
		}
		fmt.Fprintln(dockerCLI.Err(), display.Text(err.Error()))
		again, promptErr := prompt.Ask(ctx, dockerCLI, "Edit again?")
		if promptErr != nil || !again {
			return nil, kept(path, data, err)
		}
	}
}

// kept wraps err with where the edited text is, unless it was not changed.
func kept(path string, before []byte, err error) error {
	if now, readErr := os.ReadFile(path); readErr == nil && bytes.Equal(now, before) {
		return errors.Join(err, os.Remove(path))
	}
	return fmt.Errorf("%w\nyour text is kept in %s", err, path)
}

func open(ctx context.Context, dockerCLI command.Cli, path string) error {
	words, err := program(dockerCLI.In().IsTerminal())
	if err != nil {
		return err
	}
	// The editor owns the terminal: an interrupt typed there is its own.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), words[0], append(words[1:], path)...) //nolint:gosec // the user's own editor
	cmd.Stdin, cmd.Stdout, cmd.Stderr = dockerCLI.In(), dockerCLI.Err(), dockerCLI.Err()
	if dockerCLI.Out().IsTerminal() {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run editor %s: %w", words[0], err)
	}
	return nil
}

func program(terminal bool) ([]string, error) {
	for _, key := range []string{"VISUAL", "EDITOR"} {
		value := os.Getenv(key)
		if value == "" {
			continue
		}
		words, err := shlex.Split(value)
		if err != nil || len(words) == 0 {
			return nil, fmt.Errorf("$%s is no command: %q", key, value)
		}
		return words, nil
	}
	if !terminal {
		return nil, errors.New("no editor: set $VISUAL or $EDITOR")
	}
	if runtime.GOOS == "windows" {
		return []string{"notepad"}, nil
	}
	return []string{"vi"}, nil
}
