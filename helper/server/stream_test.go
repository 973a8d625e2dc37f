package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

const secret = "hunter2-secret"

func TestATaskIsFollowedToItsEnd(t *testing.T) {
	f := newFixture(t)
	client := f.start(t)
	got, err := client.SubmitTask(t.Context(), helperapi.NewTask{
		Pull: &helperapi.Pull{Image: "x"}, Credentials: helperapi.Credentials{"r": {Username: "u", Password: secret}},
	})
	if err != nil || got.Owner != "ann@desk" {
		t.Fatalf("%+v %v", got, err)
	}
	var lines []task.Line
	for line, err := range client.TaskLog(t.Context(), got.ID[:6], true) {
		if err != nil {
			t.Fatal(err)
		}
		if lines = append(lines, line); strings.HasPrefix(line.Message, "pulling") {
			close(f.release) // only now: the line came while the task ran
		}
	}
	if len(lines) < 2 || lines[0].Message != "pulling\x1b[2J" {
		t.Errorf("%+v", lines)
	}
	if got, err = client.Task(t.Context(), got.ID); err != nil || got.State != task.Done {
		t.Errorf("%+v %v", got, err)
	}
	if err := client.CancelTask(t.Context(), got.ID); err == nil || !strings.Contains(err.Error(), "done") {
		t.Errorf("cancel of one that is done: %v", err)
	}
	if err := client.RemoveTask(t.Context(), got.ID); err != nil {
		t.Error(err)
	}
	list, err := client.Tasks(t.Context())
	if err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if log := f.log.String(); strings.Contains(log, secret) || log == "" {
		t.Errorf("the log has the credentials, or nothing:\n%s", log)
	}
}

func TestATaskIsCancelledAndTriedAgain(t *testing.T) {
	f := newFixture(t)
	client := f.start(t)
	got, err := client.SubmitTask(t.Context(), helperapi.NewTask{Pull: &helperapi.Pull{Image: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.RemoveTask(t.Context(), got.ID); err == nil {
		t.Error("one that runs was removed")
	}
	for line, err := range client.TaskLog(t.Context(), got.ID, true) {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(line.Message, "pulling") {
			continue
		}
		if err := client.CancelTask(t.Context(), got.ID); err != nil && !strings.Contains(err.Error(), "cancelled") {
			t.Fatal(err)
		}
	}
	if got, err = client.Task(t.Context(), got.ID); err != nil || got.State != task.Cancelled {
		t.Fatalf("%+v %v", got, err)
	}
	close(f.release)
	if _, err := client.RetryTask(t.Context(), got.ID, helperapi.RetryTask{}); err != nil {
		t.Fatal(err)
	}
	for _, err := range client.TaskLog(t.Context(), got.ID, true) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err = client.Task(t.Context(), got.ID); err != nil || got.State != task.Done || got.Attempts != 2 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestEventsArriveAndTheirLossIsTold(t *testing.T) {
	f := newFixture(t)
	client := f.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var types []helperapi.EventType
	for e, err := range client.Events(ctx) {
		if err != nil {
			if !errors.Is(err, helperapi.ErrMissed) {
				t.Fatal(err)
			}
			types = append(types, "missed")
			break
		}
		types = append(types, e.Type)
		switch e.Type {
		case helperapi.EventReady:
			f.server.Feed.Publish(helperapi.Event{Type: helperapi.EventCatalog, Time: time.Now()})
		case helperapi.EventCatalog:
			if len(types) == 2 {
				for range 5000 { // more than anybody takes in time
					f.server.Feed.Publish(helperapi.Event{Type: helperapi.EventCatalog})
				}
			}
		case helperapi.EventAvailability, helperapi.EventTask, helperapi.EventLifetime:
		}
	}
	if len(types) < 3 || types[0] != helperapi.EventReady || types[1] != helperapi.EventCatalog || types[len(types)-1] != "missed" {
		t.Errorf("%v", types[:min(5, len(types))])
	}
}

func TestErrorsAboutARequestDoNotQuoteIt(t *testing.T) {
	f := newFixture(t)
	for _, body := range []string{
		`{"Pull":{"Image":"x"},"Credentials":{"r":{"password":"` + secret + `",}}}`,
		`{"Pull":{"Image":"x"},"Credentials":"` + secret + `"}`,
		`{"Pull":{"Image":"x"},"` + secret + `":1}`,
		secret,
	} {
		status, answer := f.ask(t, http.MethodPost, "/v1/tasks", body, nil)
		if status != http.StatusUnprocessableEntity || strings.Contains(answer, secret) {
			t.Errorf("%d %s", status, answer)
		}
	}
	if strings.Contains(f.log.String(), secret) {
		t.Error("the log quotes it")
	}
}

func TestAClientIsToldOnceThatTheHelperIsOlder(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	for own, want := range map[string]int{"v1.2.4": 1, "v1.2.3": 0, "v1.0.0": 0, "dev": 0} {
		client := helperapi.NewClient(func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", f.socket)
		}, "ann", own)
		told := 0
		client.Older = func(string) { told++ }
		for range 3 {
			if _, err := client.Version(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if told != want {
			t.Errorf("client %s is told %d times", own, told)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}
