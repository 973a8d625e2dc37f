package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/docker-kasm/docker-kasm/helper/feed"
	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

type fakeEngine struct{ err error }

func (e *fakeEngine) ServerVersion(context.Context) (types.Version, error) {
	return types.Version{Version: "29.0"}, e.err
}

type fakeJobs struct{ tasks *task.Store }

func (j fakeJobs) Submit(_ context.Context, owner string, n helperapi.NewTask) (task.Task, error) {
	if n.Pull == nil {
		return task.Task{}, helperapi.Invalid(errors.New("a pull"))
	}
	return j.tasks.Submit(task.Spec{Kind: helperapi.TaskPull, Subject: n.Pull.Image, Owner: owner, Secrets: task.Hide[any](n.Credentials)})
}

func (j fakeJobs) Retry(id string, c helperapi.Credentials) (task.Task, error) {
	return j.tasks.Retry(id, task.Hide[any](c))
}

type fakeWatcher struct{}

func (w fakeWatcher) All() map[string]availability.Entry {
	e, _ := w.Status("")
	return map[string]availability.Entry{"a": e}
}

type fakeLifetimes struct{}

// syncBuffer is a buffer that several may write to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// fixture is a helper that answers on a socket, and checks each answer against
// openapi.yaml.
type fixture struct {
	server *Server
	engine *fakeEngine
	dir    string
	log    *syncBuffer
	socket string
	// release ends the tasks that run.
	release chan struct{}
	// dials counts the connections that clients have made.
	dials atomic.Int32
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{engine: &fakeEngine{}, dir: t.TempDir(), log: &syncBuffer{}, socket: filepath.Join(t.TempDir(), "s")}
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	books, err := shelf.Open(f.dir, log, func([]*workspace.Workspace) {})
	if err != nil {
		t.Fatal(err)
	}
	tasks, _, err := task.Open(task.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tasks.Close(t.Context()) })
	f.release = make(chan struct{})
	tasks.Register(helperapi.TaskPull, func(ctx context.Context, run *task.Run) error {
		run.Log(task.Info, "pulling\x1b[2J")
		select {
		case <-f.release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	tasks.Start(t.Context())
	f.server = &Server{Tasks: tasks, Jobs: fakeJobs{tasks}, Watcher: fakeWatcher{}, Lifetimes: fakeLifetimes{}, Feed: &feed.Feed{}, Shelf: books, Roster: roster.Open(filepath.Join(f.dir, "sessions")), Engine: f.engine, Log: log, Version: helperapi.VersionInfo{Version: "v1.2.3", API: []string{"v1"}}}
	return f
}

// start serves in the background until the test ends.
func (f *fixture) start(t *testing.T) *helperapi.Client {
	t.Helper()
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(ctx, l) }()
	client := f.client(t, "ann@desk")
	t.Cleanup(func() {
		_ = client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return client
}

func (f *fixture) client(t *testing.T, user string) *helperapi.Client {
	t.Helper()
	client := helperapi.NewClient(func(ctx context.Context) (net.Conn, error) {
		f.dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, "unix", f.socket)
	}, user, "test")
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// ask makes a request and checks the answer against the description.
func (f *fixture) ask(t *testing.T, method, path, body string, header http.Header) (status int, answer string) {
	t.Helper()
	_, router := description(t)
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, r)
	route, params, err := router.FindRoute(r)
	if err != nil {
		return w.Code, w.Body.String() // no operation: what is answered is looked at by the caller
	}
	openapi3filter.RegisterBodyDecoder(helperapi.TypeProblem, openapi3filter.JSONBodyDecoder)
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: the answer is not as described: %v\n%s", method, path, err, w.Body)
	}
	return w.Code, w.Body.String()
}
