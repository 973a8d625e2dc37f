package session

import (
	"context"
	"fmt"
	"io"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/diff"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// DiffLimit is how many rows of a diff are shown where nobody says otherwise.
const DiffLimit = 20

type diffOptions struct {
	all    bool
	limit  int
	format string
}

func newDiffCommand(dockerCLI command.Cli) *cobra.Command {
	var options diffOptions
	cmd := &cobra.Command{
		Use:   "diff [OPTIONS] SESSION",
		Short: "Show what a snapshot of a session would hold",
		Long: `Show what was added, changed and deleted in a session since it was created, the
largest first, and what a snapshot would leave out: volumes, bind mounts, tmpfs.
Paths are collapsed by directory; --all shows each. Files that may keep a copy
from starting, such as locks of an X server, are named.

Sizes are read by one command in a running session, which needs xargs and stat,
and path by path otherwise; after five seconds the rest is left unmeasured.`,
		Example: `  docker kasm diff firefox-3f9a1c
  docker kasm session diff --all --format json firefox-3f9a1c`,
		Args: cli.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDiff(cmd.Context(), dockerCLI, args[0], options)
		},
		ValidArgsFunction: completeFirst(dockerCLI, session.Commit),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.all, "all", "a", false, "Show every path")
	flags.IntVarP(&options.limit, "limit", "n", DiffLimit, "Show this many rows at most (0 for all)")
	flags.StringVar(&options.format, "format", "", output.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions)
	return cmd
}

func runDiff(ctx context.Context, dockerCLI command.Cli, name string, options diffOptions) error {
	if options.limit < 0 {
		return usage.Error(fmt.Errorf("invalid value %d for --limit: use 0 or more", options.limit))
	}
	show, err := output.New(options.format, func(out io.Writer, d diff.Diff) error { return WriteDiff(out, d, options.limit) })
	if err != nil {
		return err
	}
	s, err := findOne(ctx, dockerCLI, name, session.AnyContainer())
	if err != nil {
		return err
	}
	if err := s.Check("diff"); err != nil {
		return err
	}
	d, err := diff.Of(ctx, dockerCLI.Client(), s, diff.Options{All: options.all})
	if err != nil {
		return err
	}
	return show(display.Writer(dockerCLI.Out()), d)
}

// WriteDiff prints d for people, limit rows at most; 0 prints all.
func WriteDiff(out io.Writer, d diff.Diff, limit int) error {
	shown := d.Rows
	if limit > 0 && len(shown) > limit {
		shown = shown[:limit]
	}
	if len(shown) > 0 {
		w := tabwriter.NewWriter(out, 0, 1, 3, ' ', 0)
		fmt.Fprint(w, "SIZE\tFILES\tCHANGE\tPATH\n")
		for _, r := range shown {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", sizeText(r.Size), r.Files, r.Kind, display.Line(r.Path))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if rest := d.Rows[len(shown):]; len(rest) > 0 {
		var files int
		var size int64
		for _, r := range rest {
			files += r.Files
			size += max(r.Size, 0)
		}
		fmt.Fprintf(out, "… and %d more rows: %d files, %s (--limit 0 shows them)\n", len(rest), files, sizeText(size))
	}
	fmt.Fprintf(out, "\nTo write: %s\n", sizeText(d.Size))
	if d.Unmeasured > 0 {
		fmt.Fprintf(out, "Not measured: %d files, which share what is missing above\n", d.Unmeasured)
	}
	for _, m := range d.LeftOut {
		what := m.Type
		if m.Source != "" {
			what += " " + m.Source
		}
		fmt.Fprintf(out, "Left out: %s (%s, %s)\n", display.Line(m.Path), display.Line(what), sizeText(m.Size))
	}
	for _, path := range d.Leftovers {
		fmt.Fprintf(out, "May keep a copy from starting: %s\n", display.Line(path))
	}
	return nil
}

func sizeText(size int64) string {
	if size == diff.Unknown {
		return "unknown"
	}
	return units.HumanSizeWithPrecision(float64(size), 3)
}
