package e2e

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/docker-kasm/docker-kasm/plugin/e2e/faultproxy"
)

// relay makes the engine reachable by TCP, and returns HOST:PORT.
func (s suite) relay(t *testing.T) string {
	t.Helper()
	socket, ok := strings.CutPrefix(s.host, "unix://")
	if !ok {
		t.Skip("the engine is remote already: " + s.host)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go relayAll(l, socket)
	return l.Addr().String()
}

// holding is an address of the engine where requests by a method and a path are kept
// from it until goOn is called, or the test ends. The first of them closes reached.
func (s suite) holding(t *testing.T, method, path string) (address string, reached <-chan struct{}, goOn func()) {
	t.Helper()
	proxy := faultproxy.New(s.relay(t))
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	release := make(chan struct{})
	goOn = sync.OnceFunc(func() { close(release) })
	t.Cleanup(goOn)
	fault := proxy.Inject(faultproxy.Rule{Method: method, Path: regexp.MustCompile(path), Action: faultproxy.Hold(release)})
	return "tcp://" + server.Listener.Addr().String(), fault.Hit(), goOn
}

// image commits the base image with changes, after a command has run in it.
func (s suite) image(t *testing.T, ref string, changes []string, cmd ...string) {
	t.Helper()
	name := strings.NewReplacer(":", ".", "/", ".").Replace(ref)
	s.docker(t, append([]string{"run", "--name", name, baseImage}, cmd...)...)
	args := []string{"commit"}
	for _, c := range changes {
		args = append(args, "-c", c)
	}
	s.docker(t, append(args, name, ref)...)
	s.docker(t, "rm", name)
}

// TestRunInterrupted sends SIGINT while a session is created and started: nothing
// is left of it. One that is only waited for stays.
func TestRunInterrupted(t *testing.T) {
	s := newSuite(t)
	t.Cleanup(func() { cleanUp("e2erunstop") })
	const ws = "e2erunstop"
	for name, held := range map[string]struct{ create, start bool }{
		"before the answer to create": {create: true},
		"before start":                {},
		"before the answer to start":  {start: true},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.New(s.relay(t))
			server := httptest.NewServer(proxy)
			defer server.Close()
			reached, release := make(chan struct{}), make(chan struct{})
			// answered passes a request on, and its answer when it is released.
			answered := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				close(reached)
				select {
				case <-release:
				case <-r.Context().Done():
				}
				w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
				w.WriteHeader(rec.Code)
				_, _ = w.Write(rec.Body.Bytes())
			}
			starting := faultproxy.Rule{Method: http.MethodPost, Path: regexp.MustCompile(`/containers/[0-9a-f]+/start$`)}
			switch {
			case held.create:
				proxy.Inject(faultproxy.Rule{Method: http.MethodPost, Path: regexp.MustCompile(`/containers/create$`), Action: answered})
				starting.Action = faultproxy.Hold(nil)
				proxy.Inject(starting)
			case held.start:
				starting.Action = answered
				proxy.Inject(starting)
			default:
				starting.Action = faultproxy.Hold(nil)
				fault := proxy.Inject(starting)
				go func() { <-fault.Hit(); close(reached) }()
			}
			u := s.user(t)
			u.must(t, "workspace", "create", "--image", baseImage, "--set", `run.ports=["127.0.0.1::6901"]`, ws)
			cmd := command("docker", "kasm", "run", "--name", "e2erunstop.s", ws)
			u.env = append(u.env, "DOCKER_HOST=tcp://"+strings.TrimPrefix(server.URL, "http://"))
			cmd.Env = u.env
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-reached:
			case err := <-ended:
				t.Fatalf("it ended before: %v: %s", err, out.String())
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			close(release)
			var exit *exec.ExitError
			if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != 130 {
				t.Errorf("ended with %v, not status 130: %s", err, out.String())
			}
			left := s.docker(t, "ps", "-a", "--filter", "name=e2erunstop.s", "--format", "{{.Names}} {{.State}}")
			reported := strings.Contains(out.String(), "e2erunstop.s\n")
			switch {
			case held.start && reported && left == "e2erunstop.s running":
				// The answer was faster than the signal.
				s.docker(t, "rm", "-f", "e2erunstop.s")
			case left != "" || reported:
				t.Errorf("left is %q, and what is reported is\n%s", left, out.String())
			}
		})
	}
	t.Run("while it is waited for", func(t *testing.T) {
		u := s.user(t)
		u.must(t, "workspace", "create", "--image", baseImage, "--set", `run.ports=["127.0.0.1::6902"]`, ws)
		cmd := command("docker", "kasm", "run", "--name", "e2erunstop.w", ws)
		cmd.Env = u.env
		out, err := onEvent(t, cmd, "waiting for port 6902")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 130 || !strings.Contains(out, `session "e2erunstop.w" is running, and is not waited for any longer`) {
			t.Errorf("ended with %v: %s", err, out)
		}
		if got := s.docker(t, "inspect", "-f", "{{.State.Status}}", "e2erunstop.w"); got != "running" {
			t.Errorf("the session is %s", got)
		}
	})
}

// TestRunWaits looks at sessions' ports on the engine's own machine and from
// others, with and without the means to in their images.
func TestRunWaits(t *testing.T) {
	s := newSuite(t)
	t.Cleanup(func() { cleanUp("e2erunwait") })
	const unknown = "whether it answers cannot be told: its image has no cat"
	slow := []string{`CMD ["sh","-c","sleep 1; exec httpd -f -p 6901"]`}
	s.image(t, "e2erunwait:cat", slow, "true")
	s.image(t, "e2erunwait:bare", slow, "rm", "/bin/cat")
	for where, env := range map[string][]string{
		"here": nil,
		"old":  {"DOCKER_API_VERSION=1.41"},
		"tcp":  {"DOCKER_HOST=tcp://" + s.relay(t)},
		"ssh":  overSSH(t, s).env,
	} {
		t.Run(where, func(t *testing.T) {
			u := s.user(t)
			for _, tag := range []string{"cat", "bare"} {
				ws := "e2erunwait-" + where + "-" + tag
				u.must(t, "workspace", "create", "--image", "e2erunwait:"+tag, "--set", `run.ports=["127.0.0.1::6901"]`, ws)
				remote := u
				remote.env = append(remote.env, env...)
				out := remote.must(t, "run", "--name", ws, ws)
				told := !strings.Contains(out, unknown)
				if wanted := tag == "cat" || where != "tcp" && where != "ssh"; told != wanted {
					t.Errorf("%s: %s", tag, out)
				}
				if !told {
					continue
				}
				res, err := http.Get("http://" + s.docker(t, "port", ws, "6901"))
				if err != nil {
					t.Errorf("%s: it was said to answer and does not: %v", tag, err)
					continue
				}
				_ = res.Body.Close()
			}
		})
	}
}
