package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/editor"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type createOptions struct {
	settings
	file, scope string
	edit        bool
}

func newCreateCommand(dockerCLI command.Cli) *cobra.Command {
	var options createOptions
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] WORKSPACE",
		Short: "Create a workspace",
		Long: `Create a workspace from options, or from a TOML file whose keys are those that
"docker kasm workspace edit" shows.`,
		Example: `  docker kasm workspace create --image kasmweb/firefox:1.16.0 --friendly-name Firefox \
    --set 'run.ports=["127.0.0.1::6901"]' --set 'run.open=https://localhost:{6901}/' firefox
  docker kasm workspace create --file firefox.toml firefox`,
		Args: cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCreate(cmd.Context(), dockerCLI, args[0], cmd.Flags(), options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	options.install(dockerCLI, cmd)
	catalog.ScopeFlag(cmd, &options.scope, `"user"`)
	flags := cmd.Flags()
	flags.StringVarP(&options.file, "file", "f", "", `Read the workspace from a TOML file ("-" for standard input)`)
	flags.BoolVar(&options.edit, "edit", false, "Edit the workspace before it is saved")
	return cmd
}

func runCreate(ctx context.Context, dockerCLI command.Cli, name string, flags *pflag.FlagSet, options createOptions) error {
	if err := workspace.ValidName(name); err != nil {
		return usage.Error(err)
	}
	edits, err := options.edits(flags)
	if err != nil {
		return usage.Error(err)
	}
	data, err := readFile(dockerCLI, options.file)
	if err != nil {
		return err
	}
	if data, err = workspace.Apply(data, edits); err != nil {
		return fmt.Errorf("create workspace %q: %w", name, err)
	}
	if options.edit {
		if data, err = editor.Edit(ctx, dockerCLI, name, data); err != nil {
			return err
		}
	}
	if _, err := workspace.Decode(name, name, data); err != nil && options.file == "" {
		return usage.Error(fmt.Errorf("create workspace %q: %w", name, err))
	}
	where, err := catalog.Open(dockerCLI, options.scope)
	if err != nil {
		return err
	}
	defer where.Close()
	ws, err := where.CreateRaw(ctx, name, data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(dockerCLI.Out(), display.Line(ws.Name))
	return err
}

func readFile(dockerCLI command.Cli, path string) ([]byte, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return io.ReadAll(dockerCLI.In())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read --file: %w", err)
	}
	return data, nil
}

// settings are the options that `create` and `update` share.
type settings struct {
	image, friendlyName, description string
	set, unset                       []string
}

func (o *settings) install(dockerCLI command.Cli, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.image, "image", "", "Image that the workspace's sessions run")
	flags.StringVar(&o.friendlyName, "friendly-name", "", "Name shown in the launcher")
	flags.StringVar(&o.description, "description", "", "What the workspace is for")
	flags.StringArrayVar(&o.set, "set", nil, `Set a key of the workspace file, such as "resources.memory=2g"`)
	_ = cmd.RegisterFlagCompletionFunc("image", completion.ImageNames(dockerCLI, 0))
	_ = cmd.RegisterFlagCompletionFunc("friendly-name", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("description", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("set", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var keys []string
		for _, k := range workspace.Keys() {
			keys = append(keys, k+"=")
		}
		return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// edits are the changes that the given options ask for.
func (o *settings) edits(flags *pflag.FlagSet) ([]workspace.Edit, error) {
	var edits []workspace.Edit
	var errs []error
	for _, f := range []struct{ flag, key, value string }{
		{"friendly-name", "friendly_name", o.friendlyName},
		{"description", "description", o.description},
		{"image", "image", o.image},
	} {
		if flags.Changed(f.flag) {
			edits = append(edits, workspace.Edit{Key: f.key, Value: f.value})
		}
	}
	for _, s := range o.set {
		e, err := workspace.ParseAssignment(s)
		errs = append(errs, err)
		edits = append(edits, e)
	}
	for _, s := range o.unset {
		e, err := workspace.ParseUnset(s)
		errs = append(errs, err)
		edits = append(edits, e)
	}
	return edits, errors.Join(errs...)
}
