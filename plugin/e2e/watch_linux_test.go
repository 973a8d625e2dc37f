package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// way is a way to the engine that counts lists, and that can be cut.
type way struct {
	socket string
	server *http.Server
	engine http.Handler

	mu    sync.Mutex
	lists int
}

// newWay opens a way to the engine of DOCKER_HOST.
func newWay(t *testing.T) *way {
	t.Helper()
	engine := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	w := &way{socket: filepath.Join(t.TempDir(), "docker.sock")}
	w.engine = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		FlushInterval: -1,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", engine)
		}},
	}
	w.open(t)
	t.Cleanup(func() { _ = w.server.Close() })
	return w
}

func (w *way) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	w.server = &http.Server{Handler: w}
	go func() { _ = w.server.Serve(l) }()
}

func (w *way) cut(t *testing.T) {
	t.Helper()
	if err := w.server.Close(); err != nil {
		t.Fatal(err)
	}
}

func (w *way) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/containers/json") {
		w.mu.Lock()
		w.lists++
		w.mu.Unlock()
	}
	w.engine.ServeHTTP(out, r)
}

func (w *way) counted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lists
}

// watcher runs a command that shows what changes.
type watcher struct {
	t    *testing.T
	cmd  *exec.Cmd
	text heard
}

func startWatcher(t *testing.T, u user, args ...string) *watcher {
	t.Helper()
	w := &watcher{t: t, cmd: command("docker", args...)}
	w.cmd.Env, w.cmd.Stdout, w.cmd.Stderr = u.env, &w.text, &w.text
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	return w
}

func (w *watcher) await(what string, is func(text string) bool) {
	w.t.Helper()
	w.text.await(w.t, what, is)
}

func (w *watcher) awaitLine(line string) {
	w.t.Helper()
	w.await(line, func(text string) bool { return strings.Contains("\n"+text, "\n"+line+"\n") })
}

// interrupt wants the command to end with the status for that.
func (w *watcher) interrupt() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		w.t.Fatal(err)
	}
	err := w.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		w.t.Errorf("ended with %v, not status 130", err)
	}
}

// TestWatchOfAStorm starts and stops many sessions at once, which costs a watch few
// lists.
func TestWatchOfAStorm(t *testing.T) {
	s := newSuite(t)
	const name = "e2estorm"
	t.Cleanup(func() { cleanUp(name) })
	count := 20
	if v := os.Getenv("KASM_TEST_SESSIONS"); v != "" {
		var err error
		if count, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	labelled := func(n string) map[string]string {
		return map[string]string{session.LabelSession: fmt.Sprintf("%016x", len(n)), session.LabelName: n, session.LabelWorkspace: name}
	}
	create := func(n string) {
		t.Helper()
		if _, err := api.ContainerCreate(t.Context(), &container.Config{Image: baseImage, Labels: labelled(n)}, nil, nil, nil, n); err != nil {
			t.Fatal(err)
		}
	}
	create(name + ".first")
	w := newWay(t)
	watch := startWatcher(t, s.user(t), "--host", "unix://"+w.socket, "kasm", "ls", "--all", "--watch", "--filter", "name="+name, "--format", "{{.Name}} {{.State}}")
	watch.awaitLine(name + ".first created")
	began, before := time.Now(), w.counted()
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("%s.%d", name, i))
		create(names[i])
	}
	each := func(do func(n string) error) {
		t.Helper()
		var all errgroup.Group
		for _, n := range names {
			all.Go(func() error { return do(n) })
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	last := func(state string) func(text string) bool {
		return func(text string) bool {
			states := map[string]string{}
			for line := range strings.Lines(text) {
				n, state, _ := strings.Cut(strings.TrimSpace(line), " ")
				states[n] = state
			}
			for _, n := range names {
				if states[n] != state {
					return false
				}
			}
			return true
		}
	}
	each(func(n string) error { return api.ContainerStart(t.Context(), n, container.StartOptions{}) })
	watch.await("every session as running", last("running"))
	for _, n := range names {
		s.ready(t, n)
	}
	each(func(n string) error { return api.ContainerKill(t.Context(), n, "TERM") })
	watch.await("every session as stopped", last("stopped"))
	each(func(n string) error {
		return api.ContainerRemove(t.Context(), n, container.RemoveOptions{Force: true})
	})
	watch.await("every session as gone", last("gone"))
	lists, took := w.counted()-before, time.Since(began)
	t.Logf("%d sessions started, stopped and deleted within %s cost %d lists", count, took.Round(time.Millisecond), lists)
	// Four a second at most, and the two that each of the waits may end with.
	if most := int(took/(250*time.Millisecond)) + 8; lists > most {
		t.Errorf("%d lists within %s", lists, took)
	}
	watch.interrupt()
}

// TestWatchOfAnEngineThatGoesAway goes on once it is back, and says what is the
// matter meanwhile.
func TestWatchOfAnEngineThatGoesAway(t *testing.T) {
	s := newSuite(t)
	const name = "e2eaway"
	t.Cleanup(func() { cleanUp(name) })
	s.docker(t, append(append([]string{"run", "-d"}, managed(name+".a")...), baseImage)...)
	w := newWay(t)
	u := s.user(t)
	watch := startWatcher(t, u, "--host", "unix://"+w.socket, "kasm", "ls", "--all", "--watch", "--filter", "name="+name, "--format", "{{.Name}} {{.State}}")
	stats := startWatcher(t, u, "--host", "unix://"+w.socket, "kasm", "stats", "--format", "{{.Name}} {{.State}}", name+".a")
	watch.awaitLine(name + ".a running")
	stats.awaitLine(name + ".a running")
	w.cut(t)
	lost := func(text string) bool {
		return strings.Contains(text, "the engine cannot be followed, and is tried again")
	}
	watch.await("the loss", lost)
	stats.await("the loss", lost)
	s.docker(t, "pause", name+".a")
	s.docker(t, append(append([]string{"run", "-d"}, managed(name+".b")...), baseImage)...)
	w.open(t)
	watch.awaitLine(name + ".a paused")
	watch.awaitLine(name + ".b running")
	stats.awaitLine(name + ".a paused")
	watch.interrupt()
	stats.interrupt()
}

// terminal is a terminal that a shell runs in, as tmux has it.
type terminal struct {
	t      *testing.T
	server string
}

func newTerminal(t *testing.T, u user, width, height int) terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("no tmux: apt-get install tmux, or run `make test`")
	}
	term := terminal{t, filepath.Join(t.TempDir(), "tmux")}
	start := command("tmux", "-S", term.server, "-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "env PS1='$ ' sh")
	start.Env = slices.Concat(u.env, []string{"TERM=screen", "LC_ALL=C.UTF-8"})
	if out, err := start.CombinedOutput(); err != nil {
		t.Fatalf("start tmux: %v: %s", err, out)
	}
	t.Cleanup(func() { term.tmux("kill-server") })
	return term
}

func (term terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := command("tmux", append([]string{"-S", term.server}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %s: %v: %s", args, err, out)
	}
	return string(out)
}

func (term terminal) keys(keys ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys"}, keys...)...)
}

// await waits until the screen matches, and returns it.
func (term terminal) await(pattern string) string {
	term.t.Helper()
	matches := regexp.MustCompile(pattern)
	screen := ""
	for end := time.Now().Add(awaited); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if screen = strings.TrimRight(term.tmux("capture-pane", "-p"), "\n"); matches.MatchString(screen) {
			return screen
		}
	}
	term.t.Fatalf("the screen does not come to %s:\n%s", pattern, screen)
	return ""
}

// TestWatchOnATerminal looks at what people see: the list in its place, cut to the
// terminal, also once that has another size.
func TestWatchOnATerminal(t *testing.T) {
	s := newSuite(t)
	const name = "e2escreen"
	t.Cleanup(func() { cleanUp(name) })
	for i := range 5 {
		s.docker(t, append(append([]string{"create"}, managed(fmt.Sprintf("%s.%d", name, i))...), baseImage)...)
	}
	term := newTerminal(t, s.user(t), 120, 20)
	term.keys("docker kasm ls --all --watch --filter name="+name, "Enter")
	// Drawn from the top: what was typed is gone.
	term.await(`^CONTAINER ID +NAME [^\n]+ADDRESS\n(?:[0-9a-f]{12} +e2escreen\.\d [^\n]+created[^\n]+ago\s*\n?){5}$`)
	s.docker(t, "start", name+".2")
	term.await(`^CONTAINER ID[^\n]+\n(?:[^\n]+\n?){5}$`)
	term.await(`e2escreen\.2 [^\n]+running`)
	// A narrow one with 5 rows: each line cut, the rest counted, one row for the cursor.
	term.tmux("resize-window", "-x", "30", "-y", "5")
	screen := term.await(`(?s)^CONTAINER ID   NAME.{0,11}…\n.*\n… and 3 more$`)
	if lines := strings.Split(screen, "\n"); len(lines) != 4 {
		t.Errorf("%d lines on a terminal of 5 rows:\n%s", len(lines), screen)
	}
	for line := range strings.Lines(screen) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 30 {
			t.Errorf("a line of %d columns on 30: %s", n, line)
		}
	}
	term.tmux("resize-window", "-x", "120", "-y", "20")
	term.await(`^CONTAINER ID[^\n]+ADDRESS\n(?:[0-9a-f]{12} [^\n]+\n?){5}$`)
	s.docker(t, "rm", "-f", name+".0")
	term.await(`^CONTAINER ID[^\n]+ADDRESS\n(?:[0-9a-f]{12} [^\n]+\n?){4}$`)
	// The shell goes on below.
	term.keys("C-c")
	term.await(`(?s)e2escreen.*\n\^?C?\$ ?$`)
	term.keys("echo status $?", "Enter")
	term.await(`(?m)^status 130$`)
	// So it is with what is measured.
	term.keys("clear; docker kasm stats "+name+".2", "Enter")
	term.await(`^CONTAINER ID +NAME +CPU %[^\n]+PIDS\n[0-9a-f]{12} +e2escreen\.2 +[0-9.]+%[^\n]+$`)
	term.keys("C-c")
}

// TestDoctorInColour looks for colours on a terminal.
func TestDoctorInColour(t *testing.T) {
	s := newSuite(t)
	term := newTerminal(t, s.user(t), 200, 50)
	times := 0
	coloured := func(command string) bool {
		t.Helper()
		// What the one before has shown is there until the screen is cleared.
		times++
		term.keys(fmt.Sprintf("clear; %s; echo done %d", command, times), "Enter")
		term.await(fmt.Sprintf(`(?s)^ok +plugin.*\ndone %d\n`, times))
		return strings.Contains(term.tmux("capture-pane", "-p", "-e"), "\x1b[32mok")
	}
	if !coloured("docker kasm doctor") {
		t.Error("no colours on a terminal")
	}
	if coloured("NO_COLOR=1 docker kasm doctor") {
		t.Error("colours though NO_COLOR is set")
	}
	if coloured("docker kasm doctor | cat") {
		t.Error("colours though it is no terminal")
	}
}

// TestDoctorOfARemoteEngine asks the helper for what only the engine's host knows.
func TestDoctorOfARemoteEngine(t *testing.T) {
	s := newSuite(t)
	removeHelper()
	t.Cleanup(removeHelper)
	u := s.user(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWay(t)
	server := &http.Server{Handler: w}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	disk := func() string {
		t.Helper()
		doctor := command("docker", "--host", "tcp://"+l.Addr().String(), "kasm", "doctor", "--format", "{{.Check}} {{.Status}} {{.Text}}")
		doctor.Env = u.env
		out, err := doctor.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "disk ") {
				return line
			}
		}
		t.Fatalf("no finding about the disk: %s", out)
		return ""
	}
	if got := disk(); !strings.HasPrefix(got, "disk warning free disk is not known") {
		t.Errorf("without a helper: %s", got)
	}
	if out, err := u.kasm("helper", "install"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := disk(); !regexp.MustCompile(`^disk ok [0-9.]+[MGT]B of [0-9.]+[MGT]B free`).MatchString(got) {
		t.Errorf("with a helper: %s", got)
	}
}
