package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	"github.com/docker/go-units"
	"github.com/moby/sys/atomicwriter"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/change"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/editor"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/progress"
	"github.com/docker-kasm/docker-kasm/plugin/commands/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type commitOptions struct {
	request             snapshot.Request
	changes             []string
	changeFile, iidFile string
	edit, quiet, detach bool
	format, progress    string
	scope               string
}

func newCommitCommand(dockerCLI command.Cli) *cobra.Command {
	var options commitOptions
	cmd := &cobra.Command{
		Use:   "commit [OPTIONS] SESSION [REPOSITORY[:TAG]]",
		Short: "Create an image and a workspace from a session",
		Long: `Create a new image from a session, with changes to its configuration, push it
if wanted, and register it as a new workspace.

Everything that can be refused is refused before the session is touched. A
running session is paused while its files are written and goes on afterwards; a
paused one stays paused. Environment and labels that were given when the session
was launched do not get into the image, unless --keep-env or --keep-label names
them. Content of volumes, bind mounts and tmpfs is not part of it, unless
--include-mount asks for that of a volume or bind mount.

One snapshot of a session is made at a time on an engine: a second one waits.

With --detach the helper keeps what it was asked for with the task, and so the
settings of the session's workspace, but not the values in its environment; with
--no-register its hooks only. The new workspace has the values: everyone on the
engine can read them there, as they can in the session.

Without REPOSITORY[:TAG] a name is made from the session's image and the time.`,
		Example: `  docker kasm commit firefox-3f9a1c
  docker kasm commit --push -c 'ENV LANG=de_DE.UTF-8' firefox-3f9a1c myrepo/firefox:work
  docker kasm commit --keep-env LANG --include-mount /data firefox-3f9a1c
  docker kasm commit --registry https://index.docker.io/v1/ firefox-3f9a1c myrepo/firefox`,
		Args: cli.RequiresRangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := usage.Exclusive(cmd.Flags(), [2]string{"no-register", "edit"}, [2]string{"no-register", "friendly-name"}, [2]string{"no-register", "scope"},
				[2]string{"detach", "edit"}, [2]string{"detach", "dry-run"}, [2]string{"detach", "iidfile"}, [2]string{"detach", "format"}, [2]string{"detach", "scope"}, [2]string{"quiet", "format"}); err != nil {
				return err
			}
			options.request.Session = args[0]
			if len(args) > 1 {
				options.request.Reference = args[1]
			}
			return runCommit(cmd.Context(), dockerCLI, options)
		},
		ValidArgsFunction: session.CompleteCommit(dockerCLI),
	}
	flags := cmd.Flags()
	req := &options.request
	flags.StringArrayVarP(&options.changes, "change", "c", nil, "Apply a Dockerfile instruction to the image (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, USER, VOLUME, WORKDIR)")
	flags.StringVar(&options.changeFile, "change-file", "", `Read Dockerfile instructions from a file ("-" for standard input)`)
	flags.StringVar(&req.Registry, "registry", "", "Registry to push the image to, as a host or a URL")
	flags.BoolVar(&req.Push, "push", false, "Push the image to the registry its name says")
	flags.StringVarP(&req.Message, "message", "m", "", "Commit message")
	flags.StringVarP(&req.Author, "author", "a", "", `Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")`)
	flags.BoolVar(&req.NoPause, "no-pause", false, "Don't pause the session while its files are written")
	flags.BoolVar(&req.NoWait, "no-wait", false, "Fail if another snapshot of the session is under way, instead of waiting for it")
	flags.StringSliceVar(&req.KeepEnv, "keep-env", nil, `Keep an environment variable that was given at run time ("*" for all)`)
	flags.StringSliceVar(&req.KeepLabels, "keep-label", nil, `Keep a label that was given at run time ("*" for all)`)
	flags.StringArrayVar(&req.IncludeMounts, "include-mount", nil, "Bring the content of the volume or bind mount at a path into the image")
	flags.BoolVar(&req.Flatten, "flatten", false, "Make one layer of all the image's")
	flags.StringVar(&req.FriendlyName, "friendly-name", "", "Friendly name of the new workspace")
	flags.BoolVar(&req.NoRegister, "no-register", false, "Don't register a workspace for the image")
	catalog.ScopeFlag(cmd, &options.scope, `"user"`)
	flags.BoolVar(&options.edit, "edit", false, "Edit the new workspace before it is saved")
	flags.BoolVar(&req.DryRun, "dry-run", false, "Show what would be done, and do nothing")
	flags.BoolVarP(&options.detach, "detach", "d", false, "Have the helper make the snapshot in the background, and print the task's ID; the workspace is registered in the engine's catalog")
	flags.StringVar(&options.iidFile, "iidfile", "", "Write the image ID to the file")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Print the image ID only")
	flags.StringVar(&options.format, "format", "", output.FormatHelp)
	flags.StringVar(&options.progress, "progress", "auto", `Set type of progress output ("auto", "plain", "json")`)
	fixed := func(values ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	}
	_ = cmd.RegisterFlagCompletionFunc("progress", fixed(progress.Modes()...))
	_ = cmd.RegisterFlagCompletionFunc("format", fixed("json"))
	_ = cmd.RegisterFlagCompletionFunc("change", cobra.FixedCompletions(change.Kinds(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	_ = cmd.RegisterFlagCompletionFunc("keep-env", session.CompleteKeptEnv(dockerCLI))
	_ = cmd.RegisterFlagCompletionFunc("keep-label", session.CompleteKeptLabels(dockerCLI))
	_ = cmd.RegisterFlagCompletionFunc("include-mount", session.CompleteMounts(dockerCLI))
	for _, name := range []string{"registry", "message", "author", "friendly-name"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func runCommit(ctx context.Context, dockerCLI command.Cli, options commitOptions) error {
	changes, err := options.parseChanges(dockerCLI.In())
	if err != nil {
		return err
	}
	show, err := output.New(options.format, writeResult)
	if err != nil {
		return err
	}
	if options.quiet {
		show = writeID
	}
	// A template that asks for what there is not is refused now, not after
	// the image has been made.
	if !options.request.DryRun {
		if err := show(io.Discard, snapshot.Result{}); err != nil {
			return err
		}
	}
	if options.iidFile != "" {
		if err := command.ValidateOutputPath(options.iidFile); err != nil {
			return usage.Error(fmt.Errorf("invalid value for --iidfile: %w", err))
		}
	}
	view, err := progress.New(options.progress, dockerCLI.Err())
	if err != nil {
		return usage.Error(err)
	}
	if options.quiet {
		view = progress.Quiet()
	}
	options.request.Changes = changes
	options.request.Prefix = pipeline.Prefix(dockerCLI)
	if options.detach {
		return detach(ctx, dockerCLI, options.request)
	}
	where, err := catalog.OpenFor(dockerCLI, options.scope)
	if err != nil {
		return err
	}
	defer where.Close()
	p := pipeline.New(dockerCLI, where, view.Event)
	if options.scope != catalog.Any {
		p.RegisterFlags = " --scope " + options.scope
	}
	if options.edit {
		p.Edit = func(ctx context.Context, name string, data []byte) ([]byte, error) {
			return editor.Edit(ctx, dockerCLI, name, data)
		}
	}
	result, err := p.Run(ctx, options.request)
	view.Close()
	var bad *snapshot.UsageError
	if errors.As(err, &bad) {
		return usage.Error(err)
	}
	// An image that was named is reported whatever came after it.
	if result.ImageID == "" && !result.DryRun {
		return err
	}
	if options.iidFile != "" && result.ImageID != "" {
		if ferr := atomicwriter.WriteFile(options.iidFile, []byte(result.ImageID), 0o644); ferr != nil {
			err = errors.Join(err, fmt.Errorf("write the image id %s to --iidfile: %w", result.ImageID, ferr))
		}
	}
	if rerr := show(display.Writer(dockerCLI.Out()), result); rerr != nil {
		return errors.Join(err, rerr)
	}
	if err == nil && result.Workspace != "" && !options.quiet && options.format == "" {
		fmt.Fprintf(dockerCLI.Err(), "\nLaunch it with: docker kasm run %s\n", result.Workspace)
	}
	return err
}

func (o commitOptions) parseChanges(stdin io.Reader) (change.Set, error) {
	var set change.Set
	if o.changeFile != "" {
		input := stdin
		if o.changeFile != "-" {
			f, err := os.Open(o.changeFile)
			if err != nil {
				return nil, fmt.Errorf("read --change-file: %w", err)
			}
			defer f.Close()
			input = f
		}
		changes, err := change.ParseFile(o.changeFile, input)
		if err != nil {
			return nil, usage.Error(err)
		}
		set = append(set, changes...)
	}
	for _, text := range o.changes {
		changes, err := change.Parse("--change", text)
		if err != nil {
			return nil, usage.Error(err)
		}
		set = append(set, changes...)
	}
	return set, nil
}

// writeID prints what -q wants.
func writeID(out io.Writer, r snapshot.Result) error {
	if r.ImageID == "" {
		return nil
	}
	_, err := fmt.Fprintln(out, r.ImageID)
	return err
}

func writeResult(out io.Writer, r snapshot.Result) error {
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", key, value)
		}
	}
	line("Image", r.Image)
	line("Image ID", r.ImageID)
	line("Digest", r.Digest)
	line("Verified", verified(r.Verified))
	if !r.DryRun {
		line("Written", units.HumanSizeWithPrecision(float64(r.SizeWritten), 3))
	}
	line("Workspace", r.Workspace)
	if err := w.Flush(); err != nil || r.Preview == nil {
		return err
	}
	fmt.Fprintln(out)
	return session.WriteDiff(out, *r.Preview, session.DiffLimit)
}
