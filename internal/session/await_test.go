package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
)

func TestListeningReadsTheKernelsTable(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for name, c := range map[string]struct {
		table string
		want  bool
	}{
		"IPv4":              {head + "   0: 00000000:1AF5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n", true},
		"one address":       {head + "   0: 020011AC:1AF5 00000000:0000 0A 0:0\n", true},
		"IPv6":              {head + head + "   0: 00000000000000000000000000000000:1AF5 00000000000000000000000000000000:0000 0A 0:0\n", true},
		"further down":      {head + "   0: 00000000:0016 00000000:0000 0A 0:0\n   1: 00000000:1AF5 00000000:0000 0A 0:0", true},
		"loopback":          {head + "   0: 0100007F:1AF5 00000000:0000 0A 0:0\n", false},
		"loopback, IPv6":    {head + "   0: 00000000000000000000000001000000:1AF5 00000000000000000000000000000000:0000 0A 0:0\n", false},
		"loopback, mapped":  {head + "   0: 0000000000000000FFFF00000100007F:1AF5 00000000000000000000000000000000:0000 0A 0:0\n", false},
		"another port":      {head + "   0: 00000000:1AF6 00000000:0000 0A 0:0\n", false},
		"a connection":      {head + "   0: 020011AC:1AF5 010011AC:9C40 01 0:0\n", false},
		"the other's port":  {head + "   0: 020011AC:9C40 010011AC:1AF5 0A 0:0\n", false},
		"nothing":           {head, false},
		"cut off, nonsense": {head + "   0: 00000000\n x y z 0A\n 0: :1AF5", false},
	} {
		if got := listening(c.table, 6901, false); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
		// Seen from inside, loopback addresses are as good as any.
		if got, want := listening(c.table, 6901, true), c.want || strings.HasPrefix(name, "loopback"); got != want {
			t.Errorf("%s, from inside: got %v", name, got)
		}
	}
}

func TestTheAwaitedPortIsThatOfTheAddress(t *testing.T) {
	port := func(private, public uint16, proto string) container.Port {
		return container.Port{PrivatePort: private, PublicPort: public, Type: proto}
	}
	for name, c := range map[string]struct {
		open  string
		ports []container.Port
		want  uint16
	}{
		"the lowest":             {"", []container.Port{port(8080, 1, "tcp"), port(80, 2, "tcp")}, 80},
		"Kasm's":                 {"", []container.Port{port(6901, 1, "tcp"), port(4901, 2, "tcp")}, 6901},
		"of the template":        {"https://localhost:{6901}/", []container.Port{port(4901, 2, "tcp"), port(6901, 1, "tcp")}, 6901},
		"template not published": {"https://localhost:{6901}/", []container.Port{port(6901, 0, "tcp"), port(80, 1, "tcp")}, 80},
		"UDP does not answer":    {"", []container.Port{port(53, 1, "udp")}, 0},
		"only exposed":           {"", []container.Port{port(6901, 0, "tcp")}, 0},
		"none":                   {"https://localhost:{6901}/", nil, 0},
	} {
		s := Summary(container.Summary{Ports: c.ports})
		s.Open = c.open
		if got := s.answersOn(); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestExitedErrorSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  ExitedError
		want []string
	}{
		{ExitedError{Name: "x", ExitCode: 3, LastLog: []string{"a", "b"}}, []string{"exit code 3;", "\n  a\n  b\n", "`docker kasm logs x`"}},
		{ExitedError{Name: "x", ExitCode: 137, Reason: "out of memory"}, []string{"exit code 137 (out of memory)", "its log is empty: `docker kasm logs"}},
		{ExitedError{Name: "x", ExitCode: -1, Removed: true}, []string{"has ended, and its log is empty: it is deleted"}},
	} {
		for _, want := range c.want {
			if got := c.err.Error(); !strings.Contains(got, want) {
				t.Errorf("%q lacks %q", got, want)
			}
		}
	}
}

func TestExplainHasAHintForWhatIsKnown(t *testing.T) {
	// The texts are those of engines 20.10 and 29.
	for text, want := range map[string]string{
		"driver failed programming external connectivity on endpoint t5 (d8f2): Bind for 0.0.0.0:7777 failed: port is already allocated":           "--publish",
		"failed to set up container networking: driver failed programming external connectivity: failed to bind host port: address already in use": "--publish",
		"network nosuch not found":                                          "--network chooses one",
		"failed to set up container networking: network nosuch not found":   "--network chooses one",
		`could not select device driver "" with capabilities: [[gpu]]`:      "--gpus ''",
		"failed to discover GPU vendor from CDI: no known GPU vendor found": "--gpus ''",
	} {
		cause := errors.New(text)
		if got := explain(cause); !errors.Is(got, cause) || !strings.Contains(got.Error(), want) {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if cause := errors.New("something else"); !errors.Is(explain(cause), cause) || explain(cause).Error() != "something else" {
		t.Errorf("got %v", explain(cause))
	}
}

// engineOf answers as an engine does from which a session goes away.
type engineOf struct {
	Awaiter
	inspect error
	state   container.State
	told    []events.Message
	lost    error
	stuck   bool
}

func (e engineOf) Events(context.Context, events.ListOptions) (<-chan events.Message, <-chan error) {
	messages, errs := make(chan events.Message, len(e.told)), make(chan error, 1)
	for _, m := range e.told {
		messages <- m
	}
	if e.lost != nil {
		errs <- e.lost
	}
	return messages, errs
}

func (e engineOf) ContainerInspect(ctx context.Context, _ string) (container.InspectResponse, error) {
	if e.stuck {
		<-ctx.Done()
		return container.InspectResponse{}, ctx.Err()
	}
	if e.inspect != nil {
		return container.InspectResponse{}, e.inspect
	}
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &e.state}}, nil
}

func (e engineOf) ContainerLogs(context.Context, string, container.LogsOptions) (io.ReadCloser, error) {
	return nil, errors.New("gone")
}

func TestAwaitWhenTheEngineOrTheSessionGoesAway(t *testing.T) {
	gone := fmt.Errorf("no such container: %w", cerrdefs.ErrNotFound)
	died := events.Message{Action: events.ActionDie, Actor: events.Actor{Attributes: map[string]string{"exitCode": "7"}}}
	starting := container.State{Status: container.StateRunning, Health: &container.Health{Status: container.Starting}}
	for name, c := range map[string]struct {
		engine  engineOf
		remove  bool
		timeout time.Duration
		want    string
	}{
		"deleted before the first look":    {engineOf{inspect: gone, told: []events.Message{{Action: events.ActionStart}, died}}, true, time.Minute, "exit code 7, and its log is empty: it is deleted"},
		"deleted, and nobody tells how":    {engineOf{inspect: gone}, true, time.Nanosecond, "has ended, and its log is empty"},
		"deleted by somebody":              {engineOf{inspect: gone}, false, time.Minute, "which was launched: no such container"},
		"ends while its health is awaited": {engineOf{state: starting, told: []events.Message{died}}, false, time.Minute, "exit code 7; the last lines of its log:\n  (log not readable: gone)"},
		"the connection is lost":           {engineOf{state: starting, lost: io.ErrUnexpectedEOF}, false, time.Minute, "which was launched: unexpected EOF"},
		"not healthy in time":              {engineOf{state: starting}, false, time.Nanosecond, "does not answer after 1ns: its health check has not succeeded yet"},
		"the engine is stuck":              {engineOf{stuck: true}, false, time.Nanosecond, "does not answer after 1ns: the engine has not told how it is; "},
		"an event of another kind is none": {engineOf{state: starting, told: []events.Message{{Action: "health_status: starting"}, {Action: events.ActionPause}, {Action: "health_status: healthy"}}}, false, time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := Await(t.Context(), c.engine, Session{Name: "x", Remove: c.remove}, AwaitOptions{Timeout: c.timeout})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
