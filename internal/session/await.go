package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Awaiter is what is asked of the engine to wait for a session.
type Awaiter interface {
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	LogReader
	Hooker
}

// AwaitOptions say how a session is waited for.
type AwaitOptions struct {
	// Timeout is the time it gets to answer.
	Timeout time.Duration
	// Local tells that the engine publishes ports on this machine.
	Local bool
	// Port is the session's that is waited for where it publishes none, as it will be
	// forwarded; 0 is for none.
	Port uint16
	// Waiting is told what is waited for, if anything is; nil discards it.
	Waiting func(what string)
}

// UnknownError says that it cannot be told whether a running session answers.
type UnknownError struct{ Name, Reason string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("session %q is running; whether it answers cannot be told: %s", e.Name, e.Reason)
}

// ExitedError says that a session ended while it was waited for.
type ExitedError struct {
	Name string
	// ExitCode is -1 if the engine has forgotten it.
	ExitCode int
	// Reason is the engine's, such as "out of memory", or "".
	Reason string
	// LastLog are the last lines of its log, at most ten.
	LastLog []string
	// Removed tells that the session is deleted.
	Removed bool
}

func (e *ExitedError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "session %q has ended", e.Name)
	if e.ExitCode >= 0 {
		fmt.Fprintf(&text, " with exit code %d", e.ExitCode)
	}
	if e.Reason != "" {
		fmt.Fprintf(&text, " (%s)", e.Reason)
	}
	if len(e.LastLog) > 0 {
		text.WriteString("; the last lines of its log:\n  " + strings.Join(e.LastLog, "\n  ") + "\n")
	} else {
		text.WriteString(", and its log is empty: ")
	}
	if e.Removed {
		text.WriteString("it is deleted because of --rm: launch it without to look into it")
	} else {
		fmt.Fprintf(&text, "`docker kasm logs %s` shows all of its log, `docker kasm rm %s` deletes it", e.Name, e.Name)
	}
	return text.String()
}

// Await waits until s, which was just launched, answers: until its health check
// says so, or else something listens on its published port, or the one of o. A
// session that has neither is not waited for. The error is an *ExitedError when it ends, and an
// *UnknownError when its port cannot be looked at; other errors, too, leave the
// session as it is.
func Await(ctx context.Context, api Awaiter, s Session, o AwaitOptions) error {
	timed, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	w := &wait{api: api, s: s, o: o, last: "the engine has not told how it is"}
	err := w.run(timed)
	var exited *ExitedError
	var unknown *UnknownError
	switch {
	case err == nil, errors.As(err, &exited), errors.As(err, &unknown):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("session %q is running, and is not waited for any longer: %w", s.Name, ctx.Err())
	case timed.Err() != nil:
		return fmt.Errorf("session %q is running, but does not answer after %s: %s; `docker kasm logs %s` may tell why, and --wait-timeout gives it longer", s.Name, o.Timeout, w.last, s.Name)
	}
	return fmt.Errorf("wait for session %q, which was launched: %w", s.Name, err)
}

type wait struct {
	api Awaiter
	s   Session
	o   AwaitOptions
	// log has the last lines of a session that takes its log along when it ends.
	log <-chan []string
	// last is what kept the session from answering at the last look.
	last string
	// dial tells that the port is looked at from outside.
	dial bool
	// inside tells that the port is not published: whoever is to reach it comes from
	// the session's own network.
	inside bool
}

func (w *wait) run(ctx context.Context) error {
	// What has happened before is told again, so that nothing is missed.
	messages, errs := w.api.Events(ctx, events.ListOptions{
		Since:   strconv.FormatInt(w.s.Created.Unix(), 10),
		Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("container", w.s.ID)),
	})
	if w.s.Remove {
		w.log = w.follow(ctx)
	}
	c, err := w.api.ContainerInspect(ctx, w.s.ID)
	gone := w.s.Remove && cerrdefs.IsNotFound(err)
	if err != nil && !gone {
		return err
	}
	port := w.s.answersOn()
	if port == 0 {
		port, w.inside = w.o.Port, true
	}
	healthy := c.ContainerJSONBase != nil && c.State != nil && c.State.Health != nil && c.State.Health.Status != container.NoHealthcheck
	switch {
	case gone: // the event says how it ended
	case !healthy && port == 0:
		return nil
	case c.State.Status == container.StateExited || c.State.Status == container.StateDead:
		return w.exited(ctx, c.State.ExitCode)
	case healthy:
		w.waiting("its health check")
		if done, err := w.healthStatus(ctx, c.State.Health.Status); done {
			return err
		}
		port = 0
	default:
		w.waiting(fmt.Sprintf("port %d", port))
	}
	look := time.NewTimer(0)
	defer look.Stop()
	if gone || port == 0 {
		look.Stop()
	}
	for pause := firstPause; ; {
		select {
		case m := <-messages:
			status, isHealth := strings.CutPrefix(string(m.Action), string(events.ActionHealthStatus)+": ")
			switch {
			case m.Action == events.ActionDie:
				code, _ := strconv.Atoi(m.Actor.Attributes["exitCode"])
				return w.exited(ctx, code)
			case isHealth && port == 0:
				if done, err := w.healthStatus(ctx, status); done {
					return err
				}
			}
		case err := <-errs:
			return err
		case <-look.C:
			if done, err := w.listens(ctx, port); done {
				return err
			}
			look.Reset(pause)
			pause = min(pause*3/2, longestPause)
		case <-ctx.Done():
			if gone {
				return &ExitedError{Name: w.s.Name, ExitCode: -1, Removed: true}
			}
			return ctx.Err()
		}
	}
}

// A port is looked at again after these times: nothing tells of its opening.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
)

func (w *wait) waiting(what string) {
	if w.o.Waiting != nil {
		w.o.Waiting(what)
	}
}

// healthStatus tells whether the health check has decided, and on what.
func (w *wait) healthStatus(ctx context.Context, status container.HealthStatus) (done bool, err error) {
	switch status {
	case container.Healthy:
		return true, nil
	case container.Unhealthy:
		text := ""
		if c, err := w.api.ContainerInspect(ctx, w.s.ID); err == nil && c.State != nil && c.State.Health != nil && len(c.State.Health.Log) > 0 {
			text = ": " + firstLine(c.State.Health.Log[len(c.State.Health.Log)-1].Output)
		}
		return true, fmt.Errorf("it is running, but its health check fails%s", text)
	}
	w.last = "its health check has not succeeded yet"
	return false, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line[:min(len(line), 200)]
}

// exited makes the error of a session that has ended.
func (w *wait) exited(ctx context.Context, code int) error {
	ended := &ExitedError{Name: w.s.Name, ExitCode: code, Removed: w.s.Remove}
	if w.s.Remove {
		select {
		case ended.LastLog = <-w.log:
		case <-ctx.Done():
		}
		return ended
	}
	if c, err := w.api.ContainerInspect(ctx, w.s.ID); err == nil && c.State != nil {
		ended.Reason = c.State.Error
		if c.State.OOMKilled {
			ended.Reason = "out of memory"
		}
	}
	logs, err := w.api.ContainerLogs(ctx, w.s.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lastLines)})
	if err != nil {
		ended.LastLog = []string{fmt.Sprintf("(log not readable: %s)", err)}
		return ended
	}
	defer logs.Close()
	ended.LastLog, _ = tail(logs, false)
	return ended
}

// follow reads the log to its end, when the session is deleted.
func (w *wait) follow(ctx context.Context) <-chan []string {
	lines := make(chan []string, 1)
	go func() {
		logs, err := w.api.ContainerLogs(ctx, w.s.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
		if err != nil {
			lines <- nil
			return
		}
		defer logs.Close()
		last, _ := tail(logs, false)
		lines <- last
	}()
	return lines
}

// answersOn is the session's own port that its page is on: the one that its
// address is made with. It is 0 if no TCP port is published.
func (s Session) answersOn() uint16 {
	published := func(match func(container.Port) bool) uint16 {
		for _, p := range s.Ports {
			if p.PublicPort != 0 && p.Type == "tcp" && match(p) {
				return p.PrivatePort
			}
		}
		return 0
	}
	for _, place := range workspace.PortPlace.FindAllStringSubmatch(s.Open, -1) {
		if port := published(func(p container.Port) bool { return strconv.Itoa(int(p.PrivatePort)) == place[1] }); port != 0 {
			return port
		}
	}
	p, _ := s.shownOn()
	return p.PrivatePort
}

// listens tells whether something listens on a port of the session. It looks from
// inside, with the session's own cat: a connection to the published port shows
// less, as engines accept it before the session does, and nobody but the engine's
// host can make it.
func (w *wait) listens(ctx context.Context, port uint16) (done bool, err error) {
	w.last = fmt.Sprintf("nothing listens on its port %d", port)
	if w.dial {
		return w.accepts(ctx, port), nil
	}
	var out limited
	code, err := execute(ctx, w.api, w.s, container.ExecOptions{Cmd: []string{"cat", "/proc/net/tcp", "/proc/net/tcp6"}}, &out)
	table := string(out.text())
	switch {
	case ctx.Err() != nil:
		return true, ctx.Err()
	case err == nil && strings.Contains(table, "local_address"):
		return listening(table, port, w.inside), nil
	case err != nil && !noProgram(err.Error()):
		w.last = err.Error() // it is paused, or ends: an event tells
		return false, nil
	case code > commandNotFound:
		return false, nil // killed, as the session ends
	case w.inside:
		return true, w.unknown(port, "it is not published")
	case w.o.Local:
		w.dial = true
		return w.accepts(ctx, port), nil
	}
	return true, w.unknown(port, "the engine is on another machine")
}

func (w *wait) unknown(port uint16, why string) error {
	return &UnknownError{w.s.Name, fmt.Sprintf("its image has no cat to look at port %d with, and %s", port, why)}
}

// commandNotFound is the highest exit code of an exec that no signal ended.
const commandNotFound = 127

// noProgram tells whether an engine says that there is nothing to execute.
func noProgram(text string) bool {
	return strings.Contains(text, "executable file not found") || strings.Contains(text, "no such file or directory")
}

// stateListen is the state of a socket that listens, in /proc/net/tcp
// (https://docs.kernel.org/networking/proc_net_tcp.html).
const stateListen = "0A"

// loopbacks are the addresses, as written there by machines of either byte order,
// that cannot be reached through a published port.
func loopbacks() []string {
	return []string{
		"0100007F", "7F000001", "00000000000000000000000001000000", "00000000000000000000000000000001",
		"0000000000000000FFFF00000100007F", "00000000000000000000FFFF7F000001",
	}
}

// listening looks a port up in the text of /proc/net/tcp and /proc/net/tcp6. One of
// a loopback address counts if it is looked for from inside.
func listening(table string, port uint16, inside bool) bool {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != stateListen {
			continue
		}
		address, hex, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(n) == port && (inside || !slices.Contains(loopbacks(), address)) {
			return true
		}
	}
	return false
}

// acceptTime is how long a connection must stay open to count: the engine's proxy
// accepts it and closes it again when nothing listens behind it.
const acceptTime = time.Second

// accepts tells whether the published port takes a connection from this machine.
func (w *wait) accepts(ctx context.Context, port uint16) bool {
	for _, p := range w.s.Ports {
		if p.PrivatePort != port || p.PublicPort == 0 || p.Type != "tcp" {
			continue
		}
		host := p.IP
		switch host {
		case "", "0.0.0.0":
			host = "127.0.0.1"
		case "::":
			host = "::1"
		}
		dialer := net.Dialer{Timeout: time.Second}
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(p.PublicPort))))
		if err != nil {
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(acceptTime))
		_, err = io.ReadFull(conn, make([]byte, 1))
		_ = conn.Close()
		var timeout net.Error
		if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			return true
		}
	}
	return false
}
