package server

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

func (fakeWatcher) Status(string) (availability.Entry, bool) {
	return availability.Entry{Status: availability.Status{State: availability.Available}}, true
}

func (fakeWatcher) Stats() availability.Stats {
	return availability.Stats{Connected: true, Registries: []availability.RegistryStats{{Host: "r", Asked: time.Now()}}}
}

func (fakeLifetimes) Status(id string) (time.Time, string, bool) {
	return time.Unix(1, 0), "limit", id != "none"
}

func (fakeLifetimes) Extend(_ context.Context, id string, _ time.Duration) (time.Time, error) {
	if id == "none" {
		return time.Time{}, &session.NotFoundError{Name: id}
	}
	return time.Unix(2, 0), nil
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
		{"GET", "/v1/sessions", "", nil, 200},
		{"PUT", "/v1/sessions/0123456789abcdef", `{"Kind":"server","Name":"s1","Workspace":"a","Created":"2026-01-01T00:00:00Z","Address":"rdp://host"}`, nil, 201},
		{"PUT", "/v1/sessions/0123456789abcdef", `{"Kind":"server","Name":"s2","Workspace":"a","Created":"2026-01-01T00:00:00Z","Address":"rdp://host"}`, nil, 412},
		{"PUT", "/v1/sessions/1123456789abcdef", `{"Kind":"server","Name":"s1","Workspace":"a","Created":"2026-01-01T00:00:00Z","Address":"rdp://host"}`, nil, 412},
		{"PUT", "/v1/sessions/1123456789abcdef", `{"Kind":"server","Name":"s2","Workspace":"none","Created":"2026-01-01T00:00:00Z","Address":"rdp://host"}`, nil, 422},
		{"PUT", "/v1/sessions/1123456789abcdef", `{"Kind":"server","Name":"s2","Workspace":"a","Created":"2026-01-01T00:00:00Z","Address":"file:///etc"}`, nil, 422},
		{"PUT", "/v1/sessions/..%2f..%2fx", `{"Kind":"server","Name":"s2","Workspace":"a","Created":"2026-01-01T00:00:00Z","Address":"rdp://host"}`, nil, 422},
		{"PUT", "/v1/sessions/1123456789abcdef", `{"Ki`, nil, 422},
		{"GET", "/v1/sessions", "", nil, 200},
		{"DELETE", "/v1/sessions/0123456789abcdef", "", nil, 204},
		{"DELETE", "/v1/sessions/0123456789abcdef", "", nil, 204},
		{"DELETE", "/v1/sessions/..%2f..%2fx", "", nil, 422},
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

func TestSessionsAreKeptForEveryone(t *testing.T) {
	f := newFixture(t)
	client := f.start(t)
	if _, err := client.Catalog().CreateRaw(t.Context(), "win", []byte("type = \"server\"\nurl = \"rdp://host\"\n")); err != nil {
		t.Fatal(err)
	}
	want := roster.Record{
		ID: "0123456789abcdef", Kind: roster.Server, Name: "win-1", Workspace: "win", User: "ann",
		Created: time.Unix(1, 0).UTC(), Address: "rdp://host",
	}
	if err := client.AddSession(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := client.AddSession(t.Context(), want); !errors.Is(err, roster.ErrExists) {
		t.Errorf("added twice: %v", err)
	}
	bad := filepath.Join(f.dir, "sessions", "bad.toml")
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := f.client(t, "bob@desk").Sessions(t.Context())
	want.Scope = session.ScopeEngine
	if len(list) != 1 || list[0] != want || err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("%+v %v", list, err)
	}
	for range 2 { // what is gone is removed
		if err := client.RemoveSession(t.Context(), want.ID); err != nil {
			t.Fatal(err)
		}
	}
	if list, _ := client.Sessions(t.Context()); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
