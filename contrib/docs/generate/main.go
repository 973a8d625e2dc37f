// Command generate writes the reference of all commands as Markdown.
package main

import (
	"context"
	"fmt"
	"os"

	clidocstool "github.com/docker/cli-docs-tool"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/plugin/commands"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: generate FOLDER")
	}
	dir := os.Args[1]
	dockerCLI, err := command.NewDockerCli()
	if err != nil {
		return err
	}
	root := &cobra.Command{Use: "docker [OPTIONS] COMMAND [ARG...]", DisableAutoGenTag: true}
	root.AddCommand(commands.New(context.Background(), dockerCLI))
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tool, err := clidocstool.New(clidocstool.Options{Root: root, SourceDir: dir, TargetDir: dir, Plugin: true})
	if err != nil {
		return err
	}
	return tool.GenMarkdownTree(root)
}
