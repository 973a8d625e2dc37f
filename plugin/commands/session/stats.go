package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/formatter"
	flagsHelper "github.com/docker/cli/cli/flags"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/meter"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/screen"
)

type statsOptions struct {
	all, noStream, noTrunc bool
	format                 string
}

func newStatsCommand(dockerCLI command.Cli) *cobra.Command {
	var options statsOptions
	cmd := &cobra.Command{
		Use:   "stats [OPTIONS] [SESSION...]",
		Short: "Show what sessions use, as it changes",
		Long: `Show the processor, memory and network that sessions use, and what they have
written to their disks, every second until interrupted: on a terminal in its place,
elsewhere below each other. Without names, sessions come and go as they are started
and stopped.

What is written to disk is measured in the background and seldom, as the engine
reads all files of a session for it: "…" stands where it is being measured for the
first time, and "~" before what was measured more than 15 seconds ago.`,
		Example: `  docker kasm stats
  docker kasm stats --no-stream --format json firefox-3f9a1c`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStats(cmd.Context(), dockerCLI, args, options)
		},
		ValidArgsFunction: completeNames(dockerCLI, session.View),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.all, "all", "a", false, "Show all sessions (default shows just running and paused)")
	flags.BoolVar(&options.noStream, "no-stream", false, "Measure once, over a second, and end")
	flags.BoolVar(&options.noTrunc, "no-trunc", false, "Don't truncate output")
	flags.StringVar(&options.format, "format", "", flagsHelper.FormatHelp)
	_ = cmd.RegisterFlagCompletionFunc("format", completeFormat)
	return cmd
}

func runStats(ctx context.Context, dockerCLI command.Cli, names []string, options statsOptions) error {
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return err
	}
	defer where.Close()
	ids, err := idsOf(ctx, dockerCLI, where, names)
	if err != nil {
		return err
	}
	format := newStatsFormat(options.format)
	m := meter.New(dockerCLI.Client(), shows(format, "Disk"))
	list := session.ListOptions{All: options.all || ids != nil, Roster: where, ByImage: catalog.ByImage(ctx)}
	if shows(format, "User") {
		list.Inspect = dockerCLI.Client().ContainerInspect
	}
	wanted := func(found []session.Session) []session.Session {
		return slices.DeleteFunc(found, func(s session.Session) bool {
			return s.Kind == session.Server || ids != nil && !slices.Contains(ids, s.ID)
		})
	}
	rows := func(out io.Writer, readings []meter.Reading) error {
		return writeStats(formatter.Context{Output: display.Writer(out), Format: format, Trunc: !options.noTrunc}, readings)
	}
	if options.noStream {
		found, err := session.List(ctx, dockerCLI.Client(), list)
		if session.Silent(err) {
			return err
		}
		m.Set(wanted(found))
		readings, failed := m.Once(ctx)
		if failed != nil {
			return failed
		}
		return errors.Join(rows(dockerCLI.Out(), readings), err)
	}
	return screen.Show(ctx, dockerCLI, func(ctx context.Context, tell func(screen.View)) error {
		return stream(ctx, stats{dockerCLI, m, list, wanted, rows, screen.Rows{Format: format}, ids != nil}, tell)
	})
}

// idsOf are the containers of the sessions named, nil where none is.
func idsOf(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	found, err := session.FindAll(ctx, dockerCLI.Client(), names, session.In(where))
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(found))
	var errs []error
	for _, f := range found {
		ids = append(ids, f.Session.ID)
		if f.Err == nil {
			f.Err = f.Session.Check("measure")
		}
		errs = append(errs, f.Err)
	}
	return ids, errors.Join(errs...)
}

// stats is a stream of what sessions use.
type stats struct {
	dockerCLI command.Cli
	meter     *meter.Meter
	list      session.ListOptions
	wanted    func([]session.Session) []session.Session
	rows      func(io.Writer, []meter.Reading) error
	news      screen.Rows
	// ends is set where the stream ends with the last of its sessions.
	ends bool
}

// errNone ends a stream whose sessions are all gone.
var errNone = errors.New("there are no such sessions any more")

func stream(ctx context.Context, s stats, tell func(screen.View)) error {
	var (
		mu      sync.Mutex
		trouble string
		begun   = make(chan struct{})
		once    sync.Once
	)
	group, ctx := errgroup.WithContext(ctx)
	empty := make(chan struct{}, 1)
	group.Go(func() error {
		return session.Watch(ctx, s.dockerCLI.Client(), s.list, catalog.Sessions().Changes(ctx), func(n session.News) {
			mu.Lock()
			defer mu.Unlock()
			if trouble = problem(n); n.Err != nil {
				return
			}
			found := s.wanted(n.Sessions)
			if s.meter.Set(found); len(found) == 0 && s.ends {
				select {
				case empty <- struct{}{}:
				default:
				}
			}
			once.Do(func() { close(begun) })
		})
	})
	group.Go(func() error {
		select {
		case <-empty:
			return errNone
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	group.Go(func() error {
		select {
		case <-begun:
		case <-ctx.Done():
			return ctx.Err()
		}
		var failed error
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := s.meter.Run(ctx, func(readings []meter.Reading) {
			mu.Lock()
			v := screen.View{Problem: trouble}
			mu.Unlock()
			v.Render = func(out io.Writer) error { return s.rows(out, readings) }
			if v.News, failed = s.news.More(func(out *bytes.Buffer) error { return s.rows(out, readings) }); failed != nil {
				cancel()
				return
			}
			tell(v)
		})
		if failed != nil {
			return failed
		}
		return err
	})
	if err := group.Wait(); !errors.Is(err, errNone) {
		return err
	}
	return nil
}

const statsTable = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.Disk}}\t{{.PIDs}}"

func newStatsFormat(source string) formatter.Format {
	if source == "" || source == formatter.TableFormatKey {
		return statsTable
	}
	return formatter.Format(source)
}

// statsRow is what a session uses as the formatter shows it.
type statsRow struct {
	formatter.HeaderContext
	trunc bool
	r     meter.Reading
}

func writeStats(ctx formatter.Context, readings []meter.Reading) error {
	header := &statsRow{}
	header.Header = formatter.SubHeaderContext{
		"ID":        formatter.ContainerIDHeader,
		"Name":      formatter.NameHeader,
		"Workspace": "WORKSPACE",
		"User":      "USER",
		"State":     formatter.StateHeader,
		"CPUPerc":   "CPU %",
		"MemUsage":  "MEM USAGE / LIMIT",
		"MemPerc":   "MEM %",
		"NetIO":     "NET I/O",
		"BlockIO":   "BLOCK I/O",
		"Disk":      "DISK WRITTEN",
		"DiskSince": "DISK MEASURED",
		"PIDs":      "PIDS",
	}
	return ctx.Write(header, func(format func(formatter.SubContext) error) error {
		for _, r := range readings {
			if err := format(&statsRow{trunc: ctx.Trunc, r: r}); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	// notKnown stands for what does not apply, or could not be asked.
	notKnown = "--"
	// fresh is how long ago a disk may have been measured for that not to be said.
	fresh = 15 * time.Second
)

// MarshalJSON makes one object of all fields, as docker's own tables do.
func (r *statsRow) MarshalJSON() ([]byte, error) { return formatter.MarshalJSON(r) }

// ID is the container's id.
func (r *statsRow) ID() string {
	if r.trunc {
		return formatter.TruncateID(r.r.Session.ID)
	}
	return r.r.Session.ID
}

func (r *statsRow) Name() string      { return r.r.Session.Name }
func (r *statsRow) Workspace() string { return display.Line(r.r.Session.Workspace) }
func (r *statsRow) User() string      { return display.Line(r.r.Session.User) }
func (r *statsRow) State() string     { return string(r.r.Session.State) }

func (r *statsRow) CPUPerc() string {
	if r.r.Usage == nil || r.r.Usage.CPU < 0 {
		return notKnown
	}
	return percent(r.r.Usage.CPU)
}

func (r *statsRow) MemUsage() string {
	u := r.r.Usage
	switch {
	case u == nil:
		return notKnown + " / " + notKnown
	case u.MemoryLimit == 0:
		return units.BytesSize(float64(u.Memory)) + " / " + notKnown
	}
	return units.BytesSize(float64(u.Memory)) + " / " + units.BytesSize(float64(u.MemoryLimit))
}

func (r *statsRow) MemPerc() string {
	if r.r.Usage == nil || r.r.Usage.MemoryLimit == 0 {
		return notKnown
	}
	return percent(float64(r.r.Usage.Memory) / float64(r.r.Usage.MemoryLimit) * 100)
}

// NetIO is what was received and sent.
func (r *statsRow) NetIO() string {
	if r.r.Usage == nil {
		return notKnown
	}
	return size(r.r.Usage.Received) + " / " + size(r.r.Usage.Sent)
}

// BlockIO is what was read and written, of block devices.
func (r *statsRow) BlockIO() string {
	if r.r.Usage == nil {
		return notKnown
	}
	return size(r.r.Usage.Read) + " / " + size(r.r.Usage.Written)
}

func (r *statsRow) PIDs() string {
	if r.r.Usage == nil {
		return notKnown
	}
	return strconv.FormatUint(r.r.Usage.Processes, 10)
}

// Disk is what the session has written to its disk.
func (r *statsRow) Disk() string {
	switch d := r.r.Disk; {
	case d.Bytes < 0 && d.At.IsZero():
		return "…"
	case d.Bytes < 0:
		return notKnown
	case time.Since(d.At) > fresh:
		return "~" + size(uint64(d.Bytes))
	default:
		return size(uint64(d.Bytes))
	}
}

// DiskSince is how long ago that was measured.
func (r *statsRow) DiskSince() string {
	if r.r.Disk.At.IsZero() {
		return ""
	}
	return units.HumanDuration(time.Since(r.r.Disk.At)) + " ago"
}

func percent(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) + "%" }

func size(bytes uint64) string { return units.HumanSizeWithPrecision(float64(bytes), 3) }
