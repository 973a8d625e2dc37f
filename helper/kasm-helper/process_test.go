//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/volume"
)

// process is the helper, or another of its commands.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

// patience is for what would else never end; nothing is measured by it.
const patience = time.Minute

// start runs the helper with a file as the descriptor that systemd passes, if any.
func start(t *testing.T, passed *os.File, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// systemd names the process that it means, which nobody else knows beforehand.
	script := `export WATCHDOG_PID=$$; exec "$0" "$@"`
	if passed != nil {
		script = `export LISTEN_PID=$$ LISTEN_FDS=1; ` + script
	}
	p := &process{cmd: exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", script, self}, args...)...)}
	p.cmd.Env = []string{asHelper + "=1", "GOCOVERDIR=" + t.TempDir()}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if passed != nil {
		p.cmd.ExtraFiles = []*os.File{passed}
	}
	if prepare != nil {
		prepare(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait returns the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	guard := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer guard.Stop()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// world is what a helper finds around it: an engine that has nothing, and the
// socket that systemd is told by.
type world struct {
	dir    string
	engine string
	notify *net.UnixConn
	// announced receives the volumes that are made.
	announced chan volume.CreateOptions
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// Not t.TempDir: the paths of sockets are short.
	dir, err := os.MkdirTemp("", "kasm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{dir: dir, engine: filepath.Join(dir, "engine.sock"), announced: make(chan volume.CreateOptions, 8)}
	w.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.notify.Close() })
	l := listenOn(t, w.engine)
	server := &http.Server{Handler: w.handler(), ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return w
}

func (w *world) handler() http.Handler {
	const v = "/v1.41"
	mux := http.NewServeMux()
	answer := func(path, body string) {
		mux.HandleFunc(path, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("API-Version", v[2:])
			_, _ = io.WriteString(rw, body)
		})
	}
	answer("/_ping", "OK")
	answer("GET "+v+"/images/json", "[]")
	answer("GET "+v+"/containers/json", "[]")
	answer("GET "+v+"/volumes", "{}")
	answer("GET "+v+"/info", "{}")
	answer("GET "+v+"/version", `{"Version":"20.10.24","ApiVersion":"1.41"}`)
	mux.HandleFunc("GET "+v+"/events", func(rw http.ResponseWriter, req *http.Request) {
		_ = http.NewResponseController(rw).Flush()
		<-req.Context().Done()
	})
	mux.HandleFunc("POST "+v+"/volumes/create", func(rw http.ResponseWriter, req *http.Request) {
		var made volume.CreateOptions
		if err := json.NewDecoder(req.Body).Decode(&made); err != nil {
			http.Error(rw, `{"message":"no volume"}`, http.StatusBadRequest)
			return
		}
		w.announced <- made
		rw.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(rw).Encode(volume.Volume{Name: made.Name, Labels: made.Labels})
	})
	return mux
}

// serve starts a helper in this world.
func (w *world) serve(t *testing.T, passed *os.File, args ...string) *process {
	t.Helper()
	return start(t, passed, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+w.notify.LocalAddr().String(), "WATCHDOG_USEC=300000")
		cmd.Dir = w.dir
	}, append([]string{"serve", "--data", w.path("data"), "--host", "unix://" + w.engine}, args...)...)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// await waits until systemd is told a state; the helper says why it is not.
func (w *world) await(t *testing.T, p *process, state string) {
	t.Helper()
	if err := w.notify.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := w.notify.Read(buf)
		if err != nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
			t.Fatalf("await %s: %v; the helper says: %s", state, err, p.stderr.String())
		}
		if string(buf[:n]) == state {
			return
		}
	}
}

// end stops the helper as systemd does.
func (w *world) end(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.await(t, p, "STOPPING=1")
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

func listenOn(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
