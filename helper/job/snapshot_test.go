package job

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const imageID = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A helper can end between an image getting its name and its workspace being
// registered, or between that and the journal.
func TestARetryRegistersWhatTheAttemptBeforeCouldNot(t *testing.T) {
	pending := &workspace.Workspace{
		Name: "x-v1", FriendlyName: "Snapshot of x", Type: workspace.TypeContainer, Image: "x:v1", Pull: workspace.PullMissing, Enabled: true,
		Snapshot: &workspace.Snapshot{Of: "x", ImageID: imageID},
	}
	other := &workspace.Workspace{Name: "x-v1", Type: workspace.TypeContainer, Image: "other", Pull: workspace.PullMissing}
	text, err := workspace.Encode(pending)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		there *workspace.Workspace
		text  []byte
		want  string
		count int
	}{
		"not registered":              {nil, text, "x-v1", 1},
		"registered, and not noted":   {pending, text, "x-v1", 1},
		"the name is another's":       {other, text, "x-v1-2", 2},
		"none was to be registered":   {nil, nil, "", 0},
		"another of the name is left": {other, nil, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			catalog := workspace.Open(t.TempDir())
			if c.there != nil {
				if err := catalog.Create(t.Context(), c.there); err != nil {
					t.Fatal(err)
				}
			}
			done := retried(t, catalog, checkpoint{Result: snapshot.Result{Image: "x:v1", ImageID: imageID}, Pending: string(c.text)})
			var got snapshot.Result
			if len(done.Result) > 0 {
				if err := json.Unmarshal(done.Result, &got); err != nil {
					t.Fatal(err)
				}
			}
			if done.State != task.Done || got.Workspace != c.want {
				t.Errorf("%s %s: registered as %q, want %q", done.State, done.Reason, got.Workspace, c.want)
			}
			list, err := catalog.List(t.Context())
			if err != nil || len(list) != c.count {
				t.Errorf("%d workspaces (%v), want %d", len(list), err, c.count)
			}
			if c.want == "" {
				return
			}
			if ws, err := catalog.Get(t.Context(), c.want); err != nil || ws.Snapshot == nil || ws.Snapshot.ImageID != imageID || ws.FriendlyName != "Snapshot of x" {
				t.Errorf("%+v %v", ws, err)
			}
		})
	}
}

// A helper can end between an image getting its name and the journal.
func TestAnImageThatGotItsNameUnnotedIsGoneOnWith(t *testing.T) {
	const other = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	for name, c := range map[string]struct {
		engine string // the id of the name, "" for none
		from   checkpoint
		want   bool
	}{
		"nothing was made":           {imageID, checkpoint{}, false},
		"it was noted":               {"", checkpoint{Result: snapshot.Result{Image: "x:v1", ImageID: imageID}}, true},
		"it got its name":            {imageID, checkpoint{Result: snapshot.Result{Image: "x:v1", ImageID: imageID}, Naming: true}, true},
		"it got none":                {"", checkpoint{Result: snapshot.Result{Image: "x:v1", ImageID: imageID}, Naming: true}, false},
		"another image has its name": {other, checkpoint{Result: snapshot.Result{Image: "x:v1", ImageID: imageID}, Naming: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if !strings.HasSuffix(r.URL.Path, "/images/x:v1/json") || c.engine == "" {
					w.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(w, `{"message":"no such image"}`)
					return
				}
				_, _ = io.WriteString(w, `{"Id":"`+c.engine+`"}`)
			}))
			defer server.Close()
			engine, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := (&Jobs{Engine: engine}).named(t.Context(), c.from)
			if err != nil || got != c.want {
				t.Errorf("%v %v, want %v", got, err, c.want)
			}
		})
	}
}

// What is noted before an image gets its name stays where the helper is killed then.
func TestNoValueOfAnEnvironmentIsInACheckpoint(t *testing.T) {
	text, err := workspace.Encode(&workspace.Workspace{
		Type: workspace.TypeContainer, Image: "x:v1", Enabled: true, Run: workspace.Run{Environment: map[string]string{"TOKEN": "s3cret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tasks, bad, err := task.Open(task.Options{Dir: t.TempDir(), AtOnce: 1})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	noted := make(chan string, 1)
	tasks.Register(helperapi.TaskSnapshot, func(_ context.Context, run *task.Run) error {
		err := keepCheckpoint(run, checkpoint{Result: snapshot.Result{Image: "x:v1", ImageID: imageID}, Pending: string(text), Naming: true})
		noted <- string(run.Task().Checkpoint)
		return err
	})
	tasks.Start(t.Context())
	t.Cleanup(func() { _ = tasks.Close(context.Background()) })
	if _, err := tasks.Submit(task.Spec{Kind: helperapi.TaskSnapshot, Key: "s", Subject: "No_Workspaces.Name"}); err != nil {
		t.Fatal(err)
	}
	if got := <-noted; strings.Contains(got, "s3cret") || !strings.Contains(got, "TOKEN") {
		t.Errorf("noted %s", got)
	}
}

// retried is a task whose second attempt goes on from a checkpoint.
func retried(t *testing.T, catalog *workspace.Catalog, from checkpoint) task.Task {
	t.Helper()
	return retriedOn(t, nil, catalog, from)
}

func retriedOn(t *testing.T, engine *client.Client, catalog *workspace.Catalog, from checkpoint) task.Task {
	t.Helper()
	tasks, bad, err := task.Open(task.Options{Dir: t.TempDir(), AtOnce: 1})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	books, err := shelf.Open(catalog.Dir(), slog.New(slog.DiscardHandler), func([]*workspace.Workspace) {})
	if err != nil {
		t.Fatal(err)
	}
	j := &Jobs{Engine: engine, Catalog: books.As("ann"), Tasks: tasks}
	tasks.Register(helperapi.TaskSnapshot, func(ctx context.Context, run *task.Run) error {
		if run.Task().Attempts > 1 {
			return j.snapshot(ctx, run)
		}
		return errors.Join(keep(run, from), errors.New("killed"))
	})
	tasks.Start(t.Context())
	t.Cleanup(func() { _ = tasks.Close(context.Background()) })
	request, err := json.Marshal(helperapi.Snapshot{Session: "s", NoRegister: from.Pending == ""})
	if err != nil {
		t.Fatal(err)
	}
	made, err := tasks.Submit(task.Spec{Kind: helperapi.TaskSnapshot, Key: "s", Request: request})
	if err != nil {
		t.Fatal(err)
	}
	ended := func() task.Task {
		lines, err := tasks.Logs(t.Context(), made.ID, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range lines {
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := tasks.Get(made.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ended(); got.State != task.Failed || !strings.Contains(got.Reason, "killed") {
		t.Fatalf("%+v", got)
	}
	if _, err := j.Retry(made.ID, nil); err != nil {
		t.Fatal(err)
	}
	return ended()
}

// sessions is an engine's side of a connection: it has the sessions whose
// environments it holds, by id.
type sessions map[string][]string

func (s sessions) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1.41/containers/"), "/json")
	if env, ok := s[id]; ok {
		_ = json.NewEncoder(answer).Encode(map[string]any{"Id": id, "Config": map[string]any{"Env": env}})
	} else {
		answer.WriteHeader(http.StatusNotFound)
	}
	return answer.Result(), nil
}

// What is journalled has no values, and a retry has to find them again.
func TestARetryTakesTheEnvironmentFromTheSession(t *testing.T) {
	pending := &workspace.Workspace{
		Name: "x-v1", Type: workspace.TypeContainer, Image: "x:v1", Pull: workspace.PullMissing, Enabled: true,
		Run:      workspace.Run{Environment: map[string]string{"TOKEN": "s3cret=", "EMPTY": ""}},
		Snapshot: &workspace.Snapshot{Of: "x", ImageID: imageID},
	}
	text, err := workspace.Encode(pending)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = withoutValues(text); err != nil || strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "TOKEN") {
		t.Fatalf("%v: %s", err, text)
	}
	for name, c := range map[string]struct {
		engine sessions
		want   map[string]string
	}{
		"it is there": {sessions{"s": {"PATH=/bin", "TOKEN=s3cret=", "EMPTY="}}, map[string]string{"TOKEN": "s3cret=", "EMPTY": ""}},
		"it is gone":  {sessions{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			engine, err := client.NewClientWithOpts(client.WithHTTPClient(&http.Client{Transport: c.engine}), client.WithVersion("1.41"))
			if err != nil {
				t.Fatal(err)
			}
			catalog := workspace.Open(t.TempDir())
			done := retriedOn(t, engine, catalog, checkpoint{Result: snapshot.Result{Image: "x:v1", ImageID: imageID}, Pending: string(text)})
			ws, err := catalog.Get(t.Context(), "x-v1")
			if err != nil || done.State != task.Done || !maps.Equal(ws.Run.Environment, c.want) {
				t.Errorf("%s %s: %+v, %v", done.State, done.Reason, ws, err)
			}
		})
	}
}
