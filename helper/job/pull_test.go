package job

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// Addresses of the storage behind a registry have signatures, and a task's reason is
// kept.
func TestNothingSecretIsInTheReasonOfAPull(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"errorDetail":{"message":"Get \"https://storage.example/x?sig=s3cret\": EOF"},"error":"Get \"https://storage.example/x?sig=s3cret\": EOF"}`)
	}))
	defer server.Close()
	engine, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	tasks, bad, err := task.Open(task.Options{Dir: t.TempDir()})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	j := &Jobs{Engine: engine, Tasks: tasks, Pulling: func(string) func() { return func() {} }}
	j.Register()
	changes := tasks.Subscribe()
	defer changes.Close()
	tasks.Start(t.Context())
	t.Cleanup(func() { _ = tasks.Close(context.Background()) })
	if _, err := j.Submit(t.Context(), "ann", helperapi.NewTask{Pull: &helperapi.Pull{Image: "x:v1"}}); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := changes.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !e.Task.State.Ended() {
			continue
		}
		if e.Task.State != task.Failed || strings.Contains(e.Task.Reason, "s3cret") || !strings.Contains(e.Task.Reason, "EOF") {
			t.Errorf("%s: %s", e.Task.State, e.Task.Reason)
		}
		return
	}
}
