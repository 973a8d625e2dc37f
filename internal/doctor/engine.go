package doctor

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// EngineAPI is what is asked of the engine about itself.
type EngineAPI interface {
	Ping(ctx context.Context) (types.Ping, error)
	ServerVersion(ctx context.Context) (types.Version, error)
	Info(ctx context.Context) (system.Info, error)
}

// Engine is the engine that is looked at: each question is asked once, however
// many checks want to know.
type Engine struct {
	api      EngineAPI
	name     string
	endpoint string
	ping     func() (time.Duration, error)
	info     func() (system.Info, error)
}

// NewEngine returns the engine of a context, which is at an endpoint such as
// unix:///var/run/docker.sock. It is given up on after limit, or at the end of ctx.
func NewEngine(ctx context.Context, limit time.Duration, api EngineAPI, name, endpoint string) *Engine {
	return &Engine{
		api: api, name: name, endpoint: endpoint,
		ping: asked(func() (time.Duration, error) {
			// Sooner than the checks that wait for it.
			ctx, cancel := context.WithTimeout(ctx, limit/2)
			defer cancel()
			if _, err := api.Ping(ctx); err != nil {
				return 0, err
			}
			// The first one makes the connection.
			began := time.Now()
			_, err := api.Ping(ctx)
			return time.Since(began), err
		}),
		info: asked(func() (system.Info, error) {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return api.Info(ctx)
		}),
	}
}

// asked asks once, and gives all who want to know the answer when it comes.
func asked[T any](ask func() (T, error)) func() (T, error) {
	var (
		once   sync.Once
		value  T
		err    error
		answer = make(chan struct{})
	)
	return func() (T, error) {
		once.Do(func() {
			go func() {
				defer close(answer)
				value, err = ask()
			}()
		})
		<-answer
		return value, err
	}
}

// needed makes a check that cannot be made without the engine.
func (e *Engine) needed(name string, look func(context.Context) []Finding) Check {
	return Check{name, func(ctx context.Context) []Finding {
		if _, err := e.ping(); err != nil {
			return warning("", "not checked, as the engine does not answer")
		}
		return look(ctx)
	}}
}

// slow is how long a call to an engine may take not to be in the way.
const slow = time.Second

// Context tells whether the engine of the context can be reached.
func (e *Engine) Context() Check {
	return Check{"context", func(context.Context) []Finding {
		took, err := e.ping()
		where := e.name + ", at " + e.endpoint
		switch {
		case timedOut(err):
			return failed("see that the engine's host is up and that nothing on the way swallows packets", "%s: no answer in time", where)
		case err != nil && strings.Contains(err.Error(), "permission denied"):
			return failed("have yourself added to the group that may use the socket, often `docker`, and log in anew", "%s: %s", where, err)
		case err != nil:
			return failed("start the engine, or choose another with `docker context use`", "%s: %s", where, err)
		case took > slow:
			return warning("everything takes that much longer: look at the way to the engine, and at its load", "%s: a call takes %s", where, took.Round(time.Millisecond))
		}
		return ok("%s: a call takes %s", where, took.Round(10*time.Microsecond))
	}}
}

// Version tells which engine it is.
func (e *Engine) Version() Check {
	return e.needed("engine", func(ctx context.Context) []Finding {
		v, err := e.api.ServerVersion(ctx)
		if err != nil {
			return failed("look at the engine's log", "the engine does not tell its version: %s", err)
		}
		text := "engine " + v.Version + ", API " + v.APIVersion + ", " + v.Os + "/" + v.Arch
		if store, err := engine.Inspect(ctx, knownInfo{e}); err == nil {
			text += ", image store " + string(store.Store)
		}
		switch {
		case v.Os != "" && v.Os != "linux":
			return failed("use an engine that runs Linux containers", "%s: sessions are Linux containers", text)
		case versions.LessThan(v.APIVersion, "1.41"):
			return warning("upgrade the engine", "%s: it is older than those that this plugin is tested with, from 20.10 (API 1.41) on", text)
		}
		return ok("%s", text)
	})
}

// knownInfo answers with what the engine has said of itself.
type knownInfo struct{ e *Engine }

func (k knownInfo) Info(context.Context) (system.Info, error) { return k.e.info() }

// Pause tells whether the engine can pause sessions.
func (e *Engine) Pause() Check {
	const advice = "give `docker kasm commit --no-pause`; https://docs.docker.com/engine/security/rootless/ tells how to have version 2 of control groups delegated"
	return e.needed("pause", func(context.Context) []Finding {
		info, err := e.info()
		switch {
		case err != nil:
			return warning("", "not known: %s", err)
		case info.CgroupDriver == "none":
			return warning(advice, "sessions cannot be paused: the engine has no control groups")
		case info.CgroupVersion == "2" && before(info.KernelVersion, 5, 2):
			return warning("use Linux 5.2 or newer", "sessions cannot be paused: version 2 of control groups has no freezer in Linux %s", info.KernelVersion)
		case info.CgroupVersion == "":
			return ok("sessions can be paused")
		}
		return ok("sessions can be paused (freezer of control groups, version %s)", info.CgroupVersion)
	})
}
