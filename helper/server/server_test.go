package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/docker-kasm/docker-kasm/helper/feed"
	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/session"
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

func (fakeWatcher) Status(string) (availability.Entry, bool) {
	return availability.Entry{Status: availability.Status{State: availability.Available}}, true
}

func (w fakeWatcher) All() map[string]availability.Entry {
	e, _ := w.Status("")
	return map[string]availability.Entry{"a": e}
}

func (fakeWatcher) Stats() availability.Stats {
	return availability.Stats{Connected: true, Registries: []availability.RegistryStats{{Host: "r", Asked: time.Now()}}}
}

type fakeLifetimes struct{}

func (fakeLifetimes) Status(id string) (time.Time, string, bool) {
	return time.Unix(1, 0), "limit", id != "none"
}

func (fakeLifetimes) Extend(_ context.Context, id string, _ time.Duration) (time.Time, error) {
	if id == "none" {
		return time.Time{}, &session.NotFoundError{Name: id}
	}
	return time.Unix(2, 0), nil
}

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
	f.server = &Server{Tasks: tasks, Jobs: fakeJobs{tasks}, Watcher: fakeWatcher{}, Lifetimes: fakeLifetimes{}, Feed: &feed.Feed{}, Shelf: books, Engine: f.engine, Log: log, Version: helperapi.VersionInfo{Version: "v1.2.3", API: []string{"v1"}}}
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

func description(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(helperapi.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

func TestEveryOperationIsDescribedAndServed(t *testing.T) {
	doc, _ := description(t)
	var described, served []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, r := range newFixture(t).server.Routes() {
		served = append(served, r.Method+" "+r.Path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
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

func TestAnswersAreAsDescribed(t *testing.T) {
	f := newFixture(t)
	if err := os.WriteFile(filepath.Join(f.dir, "bad.toml"), []byte("image = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.server.Shelf.Reload(); err != nil {
		t.Fatal(err)
	}
	create := http.Header{"If-None-Match": {"*"}, "Content-Type": {helperapi.TypeTOML}}
	long := "image = \"x\" #" + strings.Repeat("x", maxBody)
	for _, c := range []struct {
		method, path, body string
		header             http.Header
		want               int
	}{
		{"GET", "/healthz", "", nil, 204},
		{"GET", "/readyz", "", nil, 204},
		{"GET", "/v1/version", "", nil, 200},
		{"GET", "/v1/status", "", nil, 200},
		{"PUT", "/v1/workspaces/a", `image = "x"`, create, 201},
		{"PUT", "/v1/workspaces/a", `image = "x"`, create, 412},
		{"PUT", "/v1/workspaces/a", `image = "y"`, http.Header{"If-Match": {"*"}}, 200},
		{"PUT", "/v1/workspaces/a", `image = "y"`, http.Header{"If-Match": {`"old"`}}, 412},
		{"PUT", "/v1/workspaces/a", `image = "y"`, http.Header{"If-Match": {`old`}}, 422},
		{"PUT", "/v1/workspaces/a", `image = "y"`, nil, 428},
		{"PUT", "/v1/workspaces/a", `imag = "y"`, http.Header{"If-Match": {"*"}}, 422},
		{"PUT", "/v1/workspaces/b", `image = "y"`, http.Header{"If-Match": {"*"}}, 404},
		{"PUT", "/v1/workspaces/c", long, create, 413},
		{"PUT", "/v1/workspaces/UPPER", `image = "x"`, create, 422},
		{"PUT", "/v1/workspaces/..%2fup", `image = "x"`, create, 422},
		{"GET", "/v1/workspaces", "", nil, 200},
		{"GET", "/v1/workspaces/a", "", nil, 200},
		{"GET", "/v1/workspaces/bad", "", nil, 200},
		{"GET", "/v1/workspaces/none", "", nil, 404},
		{"GET", "/v1/workspaces/..%2f..%2fetc%2fpasswd", "", nil, 422},
		{"DELETE", "/v1/workspaces/a", "", nil, 428},
		{"DELETE", "/v1/workspaces/a", "", http.Header{"If-Match": {`"old"`}}, 412},
		{"DELETE", "/v1/workspaces/a", "", http.Header{"If-Match": {"*"}}, 204},
		{"DELETE", "/v1/workspaces/a", "", http.Header{"If-Match": {"*"}}, 404},
		{"GET", "/metrics", "", nil, 200},
		{"GET", "/v1/sessions/abc/expiry", "", nil, 200},
		{"POST", "/v1/sessions/abc/extend", `{"Seconds":60}`, nil, 200},
		{"POST", "/v1/sessions/abc/extend", `{"Seconds":-1}`, nil, 422},
		{"POST", "/v1/sessions/abc/extend", `{"Seconds":1e300}`, nil, 422},
		{"POST", "/v1/sessions/none/extend", `{"Seconds":60}`, nil, 404},
		{"GET", "/v1/tasks", "", nil, 200},
		{"POST", "/v1/tasks", `{"Pull":{"Image":"x"}}`, nil, 202},
		{"POST", "/v1/tasks", `{}`, nil, 422},
		{"POST", "/v1/tasks", `{"Pul`, nil, 422},
		{"POST", "/v1/tasks", `{"Other":1}`, nil, 422},
		{"POST", "/v1/tasks", `{"Pull":{"Image":"` + strings.Repeat("x", maxBody) + `"}}`, nil, 413},
		{"GET", "/v1/tasks/ffffffffffff", "", nil, 404},
		{"GET", "/v1/tasks/..%2f..%2fx", "", nil, 404},
		{"POST", "/v1/tasks/ffffffffffff/cancel", "", nil, 404},
		{"POST", "/v1/tasks/ffffffffffff/retry", "{}", nil, 404},
		{"GET", "/v1/tasks/ffffffffffff/log", "", nil, 404},
		{"DELETE", "/v1/tasks/ffffffffffff", "", nil, 404},
		{"GET", "/v2/anything", "", nil, 404},
		{"POST", "/v1/workspaces", "", nil, 404},
	} {
		if status, _ := f.ask(t, c.method, c.path, c.body, c.header); status != c.want {
			t.Errorf("%s %s: %d, not %d", c.method, c.path, status, c.want)
		}
	}
	f.engine.err = errors.New("no engine")
	if status, _ := f.ask(t, "GET", "/readyz", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("readyz without an engine: %d", status)
	}
	if status, _ := f.ask(t, "GET", "/v1/status", "", nil); status != http.StatusOK {
		t.Errorf("status without an engine: %d", status)
	}
}

func TestAPanicIsAnAnswerAndTheHelperGoesOn(t *testing.T) {
	f := newFixture(t)
	f.server.Engine = nil
	if status, _ := f.ask(t, "GET", "/readyz", "", nil); status != http.StatusInternalServerError {
		t.Errorf("%d", status)
	}
	if status, _ := f.ask(t, "GET", "/healthz", "", nil); status != http.StatusNoContent {
		t.Errorf("%d", status)
	}
}

func TestNothingFromARequestBreaksALineOfTheLog(t *testing.T) {
	f := newFixture(t)
	f.ask(t, "GET", "/v1/workspaces/a%0Alevel=ERROR%20forged", "", http.Header{helperapi.HeaderUser: {"eve\x1b[2J"}})
	for line := range strings.Lines(f.log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.Contains(line, "\x1b") {
			t.Errorf("line %q", line)
		}
	}
	if f.log.String() == "" {
		t.Error("nothing is logged")
	}
}

func TestManyRequestsShareOneConnection(t *testing.T) {
	f := newFixture(t)
	client := f.start(t)
	// All of them are under way at once.
	var under sync.WaitGroup
	under.Add(20)
	f.server.Engine = engineFunc(func() {
		under.Done()
		under.Wait()
	})
	if _, err := client.Version(t.Context()); err != nil { // the connection is there
		t.Fatal(err)
	}
	errs := make(chan error)
	for range 20 {
		go func() { errs <- client.Ready(t.Context()) }()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := f.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

type engineFunc func()

func (f engineFunc) ServerVersion(context.Context) (types.Version, error) {
	f()
	return types.Version{}, nil
}

func TestAConflictTellsWhoChangedWhat(t *testing.T) {
	f := newFixture(t)
	ann, bob := f.start(t).Catalog(), f.client(t, "bob@lab").Catalog()
	ws, err := ann.CreateRaw(t.Context(), "w", []byte(`image = "a"`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Update(t.Context(), "w", "", []workspace.Edit{{Key: "image", Value: "b"}}); err != nil {
		t.Fatal(err)
	}
	_, err = ann.Update(t.Context(), "w", ws.Revision, []workspace.Edit{{Key: "image", Value: "c"}})
	var p *helperapi.Problem
	if !errors.Is(err, workspace.ErrConflict) || !errors.As(err, &p) || p.Current == nil || p.Current.Changed.By != "bob@lab" || p.Current.Text != `image = "b"` {
		t.Fatalf("%v %+v", err, p)
	}
	// By hand, on the engine's host.
	if err := os.WriteFile(filepath.Join(f.dir, "w.toml"), []byte(`image = "d"`), 0o600); err != nil {
		t.Fatal(err)
	}
	err = ann.Remove(t.Context(), "w", p.Current.Revision)
	if !errors.As(err, &p) || p.Current == nil || p.Current.Changed.By != "" || p.Current.Text != `image = "d"` {
		t.Fatalf("%v %+v", err, p)
	}
}

func TestConcurrentUpdatesOfOneFileAreAllKept(t *testing.T) {
	f := newFixture(t)
	client := f.start(t).Catalog()
	if _, err := client.CreateRaw(t.Context(), "w", []byte("# mine\nimage = \"a\"\n")); err != nil {
		t.Fatal(err)
	}
	keys := []string{"resources.memory", "resources.shm_size", "description", "icon"}
	errs := make(chan error)
	for i, key := range keys {
		go func() {
			_, err := f.client(t, fmt.Sprint(i)).Catalog().Update(t.Context(), "w", "", []workspace.Edit{{Key: key, Value: "1g"}})
			errs <- err
		}()
	}
	for range keys {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	data, _, err := client.Raw(t.Context(), "w")
	if err != nil || strings.Count(string(data), `"1g"`) != len(keys) || !strings.Contains(string(data), "# mine") {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestTheCatalogIsThatOfTheFolder(t *testing.T) {
	f := newFixture(t)
	client := f.start(t).Catalog()
	if err := os.WriteFile(filepath.Join(f.dir, "bad.toml"), []byte("image = \"x\"\nimag = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateRaw(t.Context(), "good", []byte(`image = "x"`)); err != nil {
		t.Fatal(err)
	}
	list, err := client.List(t.Context())
	if len(list) != 1 || list[0].Name != "good" || list[0].Path != "" {
		t.Errorf("%+v", list)
	}
	if err == nil || !strings.Contains(err.Error(), "bad.toml:2:1:") {
		t.Errorf("the bad file's error is %v", err)
	}
	if name, err := client.UniqueName(t.Context(), "Good"); name != "good-2" || err != nil {
		t.Errorf("%s %v", name, err)
	}
	if _, err := client.Get(t.Context(), "gud"); !errors.Is(err, workspace.ErrNotFound) {
		t.Error(err)
	}
}
