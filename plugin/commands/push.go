package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	"github.com/docker/docker/api/types/registry"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/progress"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type pushOptions struct {
	list, quiet      bool
	retry            uint
	format, progress string
}

func newPushCommand(dockerCLI command.Cli) *cobra.Command {
	var options pushOptions
	cmd := &cobra.Command{
		Use:   "push [OPTIONS] IMAGE",
		Short: "Push an image, or resume a push that failed",
		Long: `Push an image to the registry its name says. A push that failed or was
interrupted is resumed: the engine sends only what the registry does not have
yet. The digest is then written into the workspaces of that image.

What is temporary, such as a registry that is busy or a connection that breaks,
is tried again, after as long as the registry asks for. What the registry then
has is compared with the image.`,
		Example: `  docker kasm push --list
  docker kasm push myrepo/firefox:work`,
		Args: cli.RequiresMaxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := usage.Exclusive(cmd.Flags(), [2]string{"quiet", "format"}, [2]string{"list", "retry"}, [2]string{"list", "progress"}); err != nil {
				return err
			}
			switch {
			case options.list && len(args) > 0:
				return usage.Error(errors.New("--list takes no IMAGE: it lists all pushes that wait"))
			case options.list:
				return runPushList(dockerCLI, options)
			case len(args) == 0:
				return usage.Error(noImage())
			}
			return runPush(cmd.Context(), dockerCLI, args[0], options)
		},
		ValidArgsFunction: completePush(dockerCLI),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.list, "list", "l", false, "List the pushes that failed and wait to be resumed")
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Print the digest only; with --list, names of images")
	flags.UintVar(&options.retry, "retry", push.DefaultRetries, "Number of times to try again what is temporary")
	flags.StringVar(&options.format, "format", "", output.FormatHelp)
	flags.StringVar(&options.progress, "progress", "auto", `Set type of progress output ("auto", "plain", "json")`)
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(progress.Modes(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("retry", cobra.NoFileCompletions)
	return cmd
}

// noImage refuses a push of nothing, and names what there is to push.
func noImage() error {
	const message = "`docker kasm push` needs an IMAGE"
	list, _ := catalog.Pushes().List()
	if len(list) == 0 {
		return errors.New(message + "; no push waits to be resumed")
	}
	var names []string
	for _, rec := range list {
		names = append(names, rec.Image)
	}
	return fmt.Errorf("%s; these wait to be resumed: %s", message, strings.Join(names, ", "))
}

// completePush completes images whose push failed, and after them all others.
func completePush(dockerCLI command.Cli) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, _ := catalog.Pushes().List()
		var waiting, names []string
		for _, rec := range list {
			if !slices.Contains(waiting, rec.Image) {
				waiting = append(waiting, rec.Image)
				names = append(names, cobra.CompletionWithDesc(rec.Image, "push failed: "+display.Line(rec.Reason)))
			}
		}
		images, _ := completion.ImageNames(dockerCLI, 1)(cmd, args, toComplete)
		for _, name := range images {
			if !slices.Contains(waiting, name) {
				names = append(names, name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

func runPush(ctx context.Context, dockerCLI command.Cli, image string, options pushOptions) error {
	ref, err := imageref.ParseTagged(image)
	if err != nil {
		return usage.Error(err)
	}
	if why := imageref.PushProblem(ref); why != "" {
		return usage.Error(errors.New(why))
	}
	show, err := output.New(options.format, writeOutcome)
	if err != nil {
		return err
	}
	if options.quiet {
		show = writeDigest
	}
	// A template that asks for what there is not is refused before the push.
	if err := show(io.Discard, push.Outcome{}); err != nil {
		return err
	}
	view, err := progress.New(options.progress, dockerCLI.Err())
	if err != nil {
		return usage.Error(err)
	}
	if options.quiet {
		view = progress.Quiet()
	}
	pusher := pipeline.Pusher(dockerCLI, options.retry, func(e push.Event) { view.Event(snapshot.PushEvent(e, time.Now())) })
	ask := func(host string) (registry.AuthConfig, error) { return pipeline.Auth(dockerCLI, host) }
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	outcome, err := pusher.Resume(ctx, ref, ask, where)
	view.Close()
	if outcome.Digest == "" {
		if outcome.ImageID == "" {
			return err
		}
		return &snapshot.PushError{Image: outcome.Image, Err: err}
	}
	return errors.Join(err, show(display.Writer(dockerCLI.Out()), outcome))
}

func writeDigest(out io.Writer, o push.Outcome) error {
	_, err := fmt.Fprintln(out, o.Digest)
	return err
}

func writeOutcome(out io.Writer, o push.Outcome) error {
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	for _, line := range [][2]string{
		{"Image", o.Image},
		{"Image ID", o.ImageID},
		{"Digest", o.Digest},
		{"Verified", verified(o.Verified)},
		{"Workspace", strings.Join(o.Workspaces, ", ")},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s:\t%s\n", line[0], line[1])
		}
	}
	return w.Flush()
}

// verified says in words what of a registry's content was compared.
func verified(v push.Verified) string {
	switch v {
	case push.VerifiedContent:
		return "manifest and configuration, as the registry has them"
	case push.VerifiedDigest:
		return "digest, through the engine"
	case push.NotVerified:
	}
	return ""
}
