package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/helper/feed"
	"github.com/docker-kasm/docker-kasm/helper/job"
	"github.com/docker-kasm/docker-kasm/helper/keeper"
	"github.com/docker-kasm/docker-kasm/helper/server"
	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/disk"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/lifetime"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// grace is how long tasks may take to tidy up once the helper is to end. Units and
// containers leave it more.
const grace = time.Minute

type serveOptions struct {
	data, socket, group, host string
	logFormat, logLevel       string
	announce                  bool
	snapshots, perMinute      int
	poll                      bool
	dockerConfig              string
}

func newServeCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the helper",
		Long: `Run the helper. It takes its socket over from systemd where that has made one.

Who may use the socket may do with the engine what the helper can: start and
delete sessions, and read their workspaces. It is for those who may use the
engine's own socket, and nobody else.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return serve(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "/var/lib/docker-kasm", "Folder for workspaces, sessions, tasks and lifetimes")
	flags.StringVar(&o.socket, "socket", dial.Socket, "Socket to answer on, unless systemd passes one")
	flags.StringVar(&o.group, "group", "", "Group that may use the socket, besides its owner")
	flags.StringVarP(&o.host, "host", "H", "", "Engine's socket (default is that of DOCKER_HOST, or of the system)")
	flags.StringVar(&o.logFormat, "log-format", "text", `Format of the log ("text", "json")`)
	flags.StringVar(&o.logLevel, "log-level", "info", `What to log ("debug", "info", "warn", "error")`)
	flags.IntVar(&o.snapshots, "tasks", 2, "How many tasks run at once")
	flags.BoolVar(&o.poll, "poll-registries", true, "Ask registries, through the engine, about images that it does not have, or that may have been renewed")
	flags.IntVar(&o.perMinute, "registry-requests", 20, "How often a minute each registry is asked at most")
	flags.StringVar(&o.dockerConfig, "docker-config", "", "Folder with a config.json of the docker CLI, for the credentials that registries are asked with")
	flags.BoolVar(&o.announce, "announce", true, "Tell clients by a volume on the engine where the helper is")
	return cmd
}

// check refuses values that flags cannot have, before anything is made.
func (o serveOptions) check() error {
	switch {
	case o.data == "":
		return invalid("data", o.data, "give the path of a folder")
	case o.socket == "":
		return invalid("socket", o.socket, "give the path of a socket")
	case o.snapshots < 1:
		return invalid("tasks", o.snapshots, "give a number from 1 on")
	case o.perMinute < 1:
		return invalid("registry-requests", o.perMinute, "give a number from 1 on; --poll-registries=false asks none")
	case !slices.Contains([]string{"text", "json"}, o.logFormat):
		return invalid("log-format", o.logFormat, "use text or json")
	case !slices.Contains([]string{"debug", "info", "warn", "error"}, o.logLevel):
		return invalid("log-level", o.logLevel, "use debug, info, warn or error")
	}
	if o.host != "" {
		if _, err := client.ParseHostURL(o.host); err != nil {
			return invalid("host", o.host, "give the engine's socket, such as unix:///var/run/docker.sock")
		}
	}
	return nil
}

func logger(o serveOptions) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("set up the log: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options)), nil
}

func serve(ctx context.Context, o serveOptions) error {
	log, err := logger(o)
	if err != nil {
		return err
	}
	lock, err := own(o.data)
	if err != nil {
		return err
	}
	defer lock.Close()
	clientOptions := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if o.host != "" {
		clientOptions = append(clientOptions, client.WithHost(o.host))
	}
	engine, err := client.NewClientWithOpts(clientOptions...)
	if err != nil {
		return fmt.Errorf("set up the connection to the engine: %w", err)
	}
	defer engine.Close()
	agree(ctx, engine)
	auth, err := credentials(o.dockerConfig)
	if err != nil {
		return err
	}
	news := &feed.Feed{}
	watcher := availability.NewWatcher(engine, availability.Options{Auth: auth, Offline: !o.poll, PerMinute: o.perMinute})
	var poke func()
	books, err := shelf.Open(filepath.Join(o.data, "workspaces"), log, func(list []*workspace.Workspace) {
		watcher.SetWorkspaces(list)
		news.Publish(helperapi.Event{Type: helperapi.EventCatalog, Time: time.Now()})
		if poke != nil {
			poke()
		}
	})
	if err != nil {
		return err
	}
	tasks, bad, err := task.Open(task.Options{
		Dir: filepath.Join(o.data, "tasks"), AtOnce: o.snapshots, Grace: grace,
		Report: func(err error) { log.Error("tasks", "error", err) },
	})
	if err != nil {
		return err
	}
	for _, err := range bad {
		log.Warn("a task cannot be read", "error", err)
	}
	records := push.OpenRecords(filepath.Join(o.data, "pushes"))
	records.Sweep()
	sessions := roster.OpenMarked(filepath.Join(o.data, dial.Sessions))
	if err := sessions.Sweep(ctx); err != nil {
		return err
	}
	jobs := &job.Jobs{
		Engine: engine, Catalog: books.As("kasm-helper"), Roster: sessions, Tasks: tasks,
		Records: records, Locks: filepath.Join(o.data, "locks"),
		Pulling: watcher.Pulling, Log: log,
	}
	jobs.Register()
	house := &keeper.Keeper{Engine: engine, Shelf: books, Jobs: jobs, Log: log}
	lifetimes := lifetime.New(lifetime.Options{
		Engine: house.Sessions(), Workspaces: house, Actor: house, Store: lifetime.OpenStore(filepath.Join(o.data, "lifetimes.json")),
		Events: func(e lifetime.Event) {
			log.Info("lifetime", "session", e.Name, "event", string(e.Type), "reason", e.Reason)
			news.Publish(helperapi.Event{Type: helperapi.EventLifetime, Time: time.Now(), Lifetime: &e})
		},
		Warn: func(err error) { log.Warn("lifetimes", "error", err) },
	})
	poke = lifetimes.Poke
	l, err := listen(ctx, o.socket, o.group)
	if err != nil {
		return err
	}
	// Not the flag's: systemd may have made another.
	socket := l.Addr().String()
	v := version.Get()
	s := &server.Server{
		Shelf: books, Roster: sessions, Tasks: tasks, Jobs: jobs, Watcher: watcher, Lifetimes: lifetimes, Feed: news, Engine: engine, Disk: room(engine, o.data), Log: log, Started: time.Now(),
		Version: helperapi.VersionInfo{Version: v.Version, Commit: v.Revision, API: []string{helperapi.Version}},
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Serve(ctx, l) })
	group.Go(func() error { return work(ctx, jobs, lifetimes) })
	group.Go(func() error { return watcher.Run(ctx) })
	group.Go(func() error { tellAvailability(ctx, watcher, news); return nil })
	group.Go(func() error { return tellTasks(ctx, tasks, news) })
	group.Go(func() error { house.Watch(ctx, lifetimes.Poke); return nil })
	group.Go(func() error { return books.Watch(ctx) })
	group.Go(func() error { return watchdog(ctx, socket, log) })
	if o.announce {
		group.Go(func() error { announce(ctx, engine, socket, log); return nil })
	}
	log.Info("the helper is ready", "version", v.Version, "socket", socket, "data", o.data, "engine", engine.DaemonHost())
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	log.Info("the helper has ended")
	return nil
}

// agree has the client agree with the engine on a version of the API. It would do so
// with its first call; the first of several at a time would race with the others,
// which look at the version. An engine that is not there yet is not waited for.
func agree(ctx context.Context, engine *client.Client) {
	ctx, cancel := context.WithTimeout(ctx, agreeTime)
	defer cancel()
	engine.NegotiateAPIVersion(ctx)
}

// agreeTime bounds the time that the start takes where an engine does not answer.
const agreeTime = 2 * time.Second

// room tells the room where the engine keeps its data, if this is its host. The
// helper's own data tells it in a container, as that is in a volume of the engine.
func room(engine *client.Client, data string) func(context.Context) *helperapi.Disk {
	return func(ctx context.Context) *helperapi.Disk {
		dir := data
		if info, err := engine.Info(ctx); err == nil && info.DockerRootDir != "" {
			if _, err := os.Stat(info.DockerRootDir); err == nil {
				dir = info.DockerRootDir
			}
		}
		space, err := disk.Of(dir)
		if err != nil {
			return nil
		}
		return &helperapi.Disk{Free: space.Free, Total: space.Total}
	}
}

// work runs tasks and lifetimes until ctx ends, and lets what runs tidy up then.
func work(ctx context.Context, jobs *job.Jobs, lifetimes *lifetime.Enforcer) error {
	var running sync.WaitGroup
	running.Go(func() { lifetimes.Run(ctx) })
	// Sessions that a helper which was killed held still go on before new tasks
	// begin: until then those are queued.
	jobs.Recover(ctx)
	if ctx.Err() == nil {
		jobs.Tasks.Start(context.WithoutCancel(ctx))
	}
	// Lifetimes wait for tasks of theirs.
	running.Wait()
	<-ctx.Done()
	now, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	closing, closed := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() {
		// An engine that is started again ends its containers before it answers:
		// a helper that waits for it to tidy up would hold it up. The next helper
		// tidies up.
		awaitGone(closing, jobs.Engine)
		jobs.Tasks.GiveUp()
	})
	defer running.Wait()
	defer closed()
	return jobs.Tasks.Close(now)
}

// awaitGone returns once an engine does not answer, or ctx ends.
func awaitGone(ctx context.Context, engine *client.Client) {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := engine.Ping(asked)
		cancel()
		if err != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// credentials are those of the docker CLI's configuration in a folder, for
// questions to registries; none if there is no such file.
func credentials(dir string) (func(ref string) (string, error), error) {
	if _, err := os.Stat(filepath.Join(dir, config.ConfigFileName)); dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	file, err := config.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of the docker CLI in %s: %w", dir, err)
	}
	return func(ref string) (string, error) {
		named, err := imageref.Parse(ref)
		if err != nil {
			return "", err
		}
		found, err := push.Stored(file, imageref.Host(named))
		if err != nil {
			return "", err
		}
		return registry.EncodeAuthConfig(found)
	}, nil
}

// announce makes the volume by which clients find a helper that is a service, and
// again from time to time: `docker volume prune` removes it on some engines.
func announce(ctx context.Context, engine *client.Client, socket string, log *slog.Logger) {
	for told, warned := false, false; ; {
		wait := 5 * time.Second
		v, err := engine.VolumeCreate(ctx, volume.CreateOptions{Name: dial.Volume, Labels: map[string]string{
			dial.LabelKind: dial.Service, dial.LabelSocket: socket,
		}})
		if err == nil {
			if v.Labels[dial.LabelKind] != dial.Service || v.Labels[dial.LabelSocket] != socket {
				if !warned {
					log.Warn("clients find another helper: volume " + dial.Volume + " on the engine says so; remove that helper with `docker kasm helper uninstall`, or the volume")
				}
				warned = true
			}
			wait = time.Minute
		} else if !told {
			log.Warn("the engine does not answer: it is tried again", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
