package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// desktops is the repository of the X desktops that `engine desktop` made: tag
// "kasm" with the label of Kasm's images, "plain" without. They serve VNC on
// port 5901, run as root unless told otherwise, and deal with X locks as Kasm's
// images do.
func desktops(t *testing.T) string {
	t.Helper()
	repository := os.Getenv("KASM_TEST_DESKTOP")
	if repository == "" {
		t.Skip("no desktop to test with: run `make test-desktop`")
	}
	return repository
}

const keepTmp = `run.tmpfs=["/tmp:mode=1777,exec"]`

// TestDesktopStartsAgainAsAnotherUser is the best known complaint about
// snapshots of desktops, put right: the locks of an X server that ran as root
// keep one of another user from starting.
// https://github.com/kasmtech/workspaces-issues/issues/637
func TestDesktopStartsAgainAsAnotherUser(t *testing.T) {
	repository := desktops(t)
	s := newSuite(t)
	for tag, settings := range map[string][]string{"kasm": nil, "plain": {"--set", keepTmp}} {
		t.Run(tag, func(t *testing.T) {
			d := s.desktop(t, "e2edesktop"+tag)
			d.kasm(append([]string{
				"workspace", "create", "--image", repository + ":" + tag,
				"--set", `run.ports=["127.0.0.1::5901"]`, "--set", "run.open=vnc://127.0.0.1:{5901}", d.name,
			}, settings...)...)

			root := d.name + ".root"
			d.answers(root, d.run(root, d.name))
			d.owner(root, "0")

			d.kasm("commit", "-c", "USER 1000", root, d.name+":v1")
			copied := d.name + "-v1"
			if got := d.kasm("workspace", "inspect", "--format", "{{json .Run.Tmpfs}}", copied); strings.TrimSpace(got) != `["/tmp:mode=1777,exec"]` {
				t.Errorf("the snapshot's registration has the tmpfs %s", got)
			}
			other := d.name + ".other"
			d.answers(other, d.run(other, copied))
			d.owner(other, "1000")

			// The first one has gone on, and the copy comes back from a stop.
			d.answers(root, d.address(root))
			d.kasm("stop", other)
			d.kasm("start", other)
			d.answers(other, d.address(other))
		})
	}
}

// TestDesktopCommittedPlainlyDoesNotStart shows that the complaint is real, and
// what helps when a snapshot with locks in it is there already.
func TestDesktopCommittedPlainlyDoesNotStart(t *testing.T) {
	repository := desktops(t)
	s := newSuite(t)
	for _, tag := range []string{"kasm", "plain"} {
		t.Run(tag, func(t *testing.T) {
			d := s.desktop(t, "e2elocked"+tag)
			root := d.name + ".root"
			d.docker(t, "run", "-d", "--name", root, repository+":"+tag)
			d.answers(root, d.ip(root))
			d.owner(root, "0")

			locked := d.name + ":locked"
			d.docker(t, "commit", "-c", "USER 1000", root, locked)
			other := d.name + ".other"
			d.docker(t, "run", "-d", "--name", other, locked)
			if greeting, err := greet(t, other, d.ip(other)); err == nil {
				t.Fatalf("it answers %q: this test shows nothing any more", greeting)
			}
			if logs := d.docker(t, "logs", other); !strings.Contains(logs, "taken because of /tmp/.X1-lock") {
				t.Errorf("it did not start for another reason: %s", logs)
			}

			settings := []string{"workspace", "create", "--image", locked, d.name}
			if tag == "plain" {
				settings = append(settings, "--set", keepTmp)
			}
			d.kasm(settings...)
			cured := d.name + ".cured"
			d.run(cured, d.name)
			d.answers(cured, d.ip(cured))
			d.owner(cured, "1000")
		})
	}
}

// desktop is a test's user on an engine, and the name that all it makes begins
// with.
type desktop struct {
	suite
	t    *testing.T
	user user
	name string
}

func (s suite) desktop(t *testing.T, name string) desktop {
	t.Helper()
	t.Cleanup(func() { cleanUp(name) })
	return desktop{s, t, s.user(t), name}
}

func (d desktop) kasm(args ...string) string {
	d.t.Helper()
	out, err := d.user.kasm(args...)
	if err != nil {
		d.t.Fatalf("docker kasm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

var vncAddress = regexp.MustCompile(`vnc://(127\.0\.0\.1:\d+)`)

// run launches a session and returns its address, "" if its port is not published.
func (d desktop) run(name, workspace string) string {
	d.t.Helper()
	if m := vncAddress.FindStringSubmatch(d.kasm("run", "--name", name, workspace)); m != nil {
		return m[1]
	}
	return ""
}

func (d desktop) address(name string) string {
	d.t.Helper()
	m := vncAddress.FindStringSubmatch(d.kasm("inspect", "--format", "{{.Address}}", name))
	if m == nil {
		d.t.Fatalf("session %s has no address", name)
	}
	return m[1]
}

func (d desktop) ip(name string) string {
	d.t.Helper()
	return net.JoinHostPort(d.docker(d.t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name), "5901")
}

func (d desktop) answers(name, address string) {
	d.t.Helper()
	greeting, err := greet(d.t, name, address)
	if err != nil {
		d.t.Fatalf("session %s does not answer on %s: %v\n%s", name, address, err, d.docker(d.t, "logs", name))
	}
	if greeting != "RFB 003.008\n" {
		d.t.Errorf("session %s answers on %s with %q", name, address, greeting)
	}
}

// owner checks whose the X server's locks in a session are.
func (d desktop) owner(name, uid string) {
	d.t.Helper()
	want := fmt.Sprintf("%s /tmp/.X1-lock\n%s /tmp/.X11-unix", uid, uid)
	if got := d.docker(d.t, "exec", name, "stat", "-c", "%u %n", "/tmp/.X1-lock", "/tmp/.X11-unix"); got != want {
		d.t.Errorf("the locks in %s are of:\n%s\nwant:\n%s", name, got, want)
	}
}

// greet returns what a VNC server says first. It waits until it does, or until
// its container has ended.
func greet(t *testing.T, container, address string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("no answer for a minute"))
	defer cancel()
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() {
		code, err := exec.CommandContext(ctx, "docker", "wait", container).Output()
		if err == nil {
			ended(fmt.Errorf("it has ended with code %s", strings.TrimSpace(string(code))))
		}
	}()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			greeting := make([]byte, len("RFB 003.008\n"))
			// A published port takes connections before anyone listens behind it.
			_, err = io.ReadFull(conn, greeting)
			stop()
			_ = conn.Close()
			if err == nil {
				return string(greeting), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-again.C:
		}
	}
}
