package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/forward"
)

// TestOpen forwards ports of a session through the engine's socket, over ssh and over
// TCP with certificates.
func TestOpen(t *testing.T) {
	s := newSuite(t)
	if !strings.HasPrefix(s.host, "unix://") {
		t.Skip("the engine is remote already: " + s.host)
	}
	t.Cleanup(func() {
		cleanUp("e2eopen")
		// The scripts about the helper begin without its image.
		cleanUp(dial.Volume)
	})
	for name, way := range map[string]struct {
		set func(*testing.T, suite) remote
		// options are needed where the engine is this machine's.
		options []string
	}{
		"local": {func(*testing.T, suite) remote { return remote{} }, []string{"--forward"}},
		"ssh":   {overSSH, nil}, "tls": {overTLS, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := &opened{suite: s, user: s.user(t), name: "e2eopen." + name, options: way.options}
			o.env = append(o.env, way.set(t, s).env...)
			o.serve(t)
			t.Run("requests", o.requests)
			t.Run("half-close", o.halfClose)
			t.Run("nothing listens", o.nothing)
			t.Run("interrupt", o.interrupt)
			t.Run("kill", o.kill)
			if name == "local" {
				t.Run("uninstall", o.uninstall)
			}
			t.Run("commit, pause and stop", o.goesOn)
		})
	}
}

// opened is a session whose ports are forwarded.
type opened struct {
	suite
	user
	name, id string
	options  []string
}

const (
	openMegabytes = 50
	openAtOnce    = 20
)

// serve runs a session with a web server that is published, but not on all
// addresses, and one that counts what it is sent.
func (o *opened) serve(t *testing.T) {
	t.Helper()
	o.id = o.docker(t, append(append([]string{"run", "-d", "-p", "127.0.0.1::8000"}, managed(o.name)...), baseImage)...)
	o.docker(t, "exec", o.name, "sh", "-c", fmt.Sprintf("mkdir -p /www && echo hello >/www/index.html && dd if=/dev/urandom of=/www/big bs=1M count=%d", openMegabytes))
	o.docker(t, "exec", "-d", o.name, "httpd", "-f", "-p", "127.0.0.1:8000", "-h", "/www")
	o.docker(t, "exec", "-d", o.name, "nc", "-ll", "-p", "7000", "-e", "wc", "-c")
	for _, port := range []string{"1F40", "1B58"} {
		o.docker(t, "exec", o.name, "sh", "-c", "until grep -q ':"+port+" .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done")
	}
}

// forwarding is a `docker kasm open` that forwards.
type forwarding struct {
	cmd     *exec.Cmd
	address *url.URL
	stderr  heard
}

func (o *opened) open(t *testing.T, port string) *forwarding {
	t.Helper()
	f := &forwarding{cmd: command("docker", slices.Concat([]string{"kasm", "open", "--print"}, o.options, []string{o.name, port})...)}
	f.cmd.Env, f.cmd.Stderr = o.env, &f.stderr
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no address: %v, %v: %s", err, f.cmd.Wait(), f.stderr.String())
	}
	if f.address, err = url.Parse(strings.TrimSpace(line)); err != nil || f.address.Hostname() != "localhost" {
		t.Fatalf("the address is %q: %v", line, err)
	}
	if far := o.far(t); far == "" {
		t.Error("there is no far end")
	}
	return f
}

// end interrupts the command, and looks at what is left.
func (f *forwarding) end(t *testing.T, o *opened) {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := f.wait(t); status != 130 {
		t.Errorf("it ended with status %d: %s", status, f.stderr.String())
	}
	o.nothingLeft(t)
}

func (f *forwarding) wait(t *testing.T) int {
	t.Helper()
	err := f.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return f.cmd.ProcessState.ExitCode()
}

// far are the containers of far ends of the session.
func (o *opened) far(t *testing.T) string {
	t.Helper()
	return o.docker(t, "ps", "-aq", "--filter", "label="+forward.Label+"="+o.id)
}

// processes are those of the user's plugin.
func (o *opened) processes() []int {
	var pids []int
	list, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range list {
		env, err := os.ReadFile(filepath.Join(filepath.Dir(exe), "environ"))
		if target, linkErr := os.Readlink(exe); err != nil || linkErr != nil || target != o.plugin || !bytes.Contains(env, []byte("DOCKER_CONFIG="+o.config+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(exe))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (o *opened) nothingLeft(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(awaited); ; time.Sleep(50 * time.Millisecond) {
		far, processes := o.far(t), o.processes()
		if far == "" && len(processes) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("containers %q and processes %v are left", far, processes)
		}
	}
}

func get(address string) ([]byte, error) {
	resp, err := http.Get(address)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return body, err
}

func (o *opened) requests(t *testing.T) {
	f := o.open(t, "8000")
	if body, err := get(f.address.String()); string(body) != "hello\n" || err != nil {
		t.Errorf("got %q: %v", body, err)
	}
	want := strings.Fields(o.docker(t, "exec", o.name, "sha256sum", "/www/big"))[0]
	body, err := get(f.address.JoinPath("big").String())
	if sum := sha256.Sum256(body); err != nil || hex.EncodeToString(sum[:]) != want || len(body) != openMegabytes<<20 {
		t.Errorf("got %d other bytes: %v", len(body), err)
	}
	var all errgroup.Group
	var conns []net.Conn
	for range openAtOnce {
		// All of them are there before the first one is used.
		conn, err := net.Dial("tcp", f.address.Host)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		all.Go(func() error {
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
				return err
			}
			answer, err := io.ReadAll(conn)
			if !strings.HasSuffix(string(answer), "\r\n\r\nhello\n") {
				return fmt.Errorf("got %q: %w", answer, err)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Errorf("%d at once: %v", openAtOnce, err)
	}
	if far := strings.Fields(o.far(t)); len(far) != 1 {
		t.Errorf("%d far ends: %v", len(far), far)
	}
	if list := o.must(t, "ls", "-a", "--format", "{{.ID}}", "--no-trunc"); strings.Contains(list, o.far(t)) {
		t.Errorf("the far end is shown as a session: %s", list)
	}
	f.end(t, o)
	if conn, err := net.Dial("tcp", f.address.Host); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
}

func (o *opened) halfClose(t *testing.T) {
	f := o.open(t, "7000")
	conn, err := net.Dial("tcp", f.address.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 5 << 20
	if _, err := io.CopyN(conn, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// The count comes after the end of what is counted.
	if got, err := io.ReadAll(conn); strings.TrimSpace(string(got)) != strconv.Itoa(size) || err != nil {
		t.Errorf("counted %q: %v", got, err)
	}
	f.end(t, o)
}

// zeros reads zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (o *opened) nothing(t *testing.T) {
	f := o.open(t, "9")
	// It may be broken off before or after Dial has returned.
	if conn, err := net.Dial("tcp", f.address.Host); err == nil {
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes come from where nothing listens", n)
		}
		_ = conn.Close()
	}
	// What a far end says and what it sends are two streams of the engine: the line
	// may come after the connection's end.
	f.stderr.awaitText(t, "nothing listens on port 9 in the session")
	f.end(t, o)
}

// interrupt ends it while a connection is in use, and a port that is taken.
func (o *opened) interrupt(t *testing.T) {
	f := o.open(t, "7000")
	conn, err := net.Dial("tcp", f.address.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if out, err := o.kasm(slices.Concat([]string{"open", "--print", "--port", f.address.Port()}, []string{o.name, "7000"})...); err == nil || !strings.Contains(out, "another --port") {
		t.Errorf("a port that is taken: %v: %s", err, out)
	}
	f.end(t, o)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
}

// kill kills the plugin itself, with a connection in use.
func (o *opened) kill(t *testing.T) {
	f := o.open(t, "7000")
	conn, err := net.Dial("tcp", f.address.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	pids := o.processes()
	if len(pids) == 0 {
		t.Fatal("there is no process of the plugin")
	}
	for _, pid := range pids {
		// One can end because another was killed.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	if status := f.wait(t); status == 0 {
		t.Error("one that is killed succeeded")
	}
	o.nothingLeft(t)
}

// uninstall removes the image of the far end, where there is no helper, once it is
// not in use.
func (o *opened) uninstall(t *testing.T) {
	f := o.open(t, "8000")
	if out, err := o.kasm("helper", "uninstall", "-f"); err == nil || !strings.Contains(out, "once no `docker kasm open` forwards a port with it") {
		t.Errorf("an image that is in use: %v: %s", err, out)
	}
	if body, err := get(f.address.String()); string(body) != "hello\n" || err != nil {
		t.Errorf("after that: got %q: %v", body, err)
	}
	f.end(t, o)
	if out := o.must(t, "helper", "uninstall", "-f"); out != "removed the image by which ports of sessions are forwarded" {
		t.Errorf("uninstall: %s", out)
	}
	if images := o.docker(t, "images", "-q", dial.Volume); images != "" {
		t.Errorf("images are left: %s", images)
	}
}

// goesOn does with a session what can be done, while a port of it is forwarded.
func (o *opened) goesOn(t *testing.T) {
	f := o.open(t, "8000")
	o.must(t, "commit", "--no-register", o.name, strings.ReplaceAll(o.name, ".", "-")+":v1")
	if body, err := get(f.address.String()); string(body) != "hello\n" || err != nil {
		t.Errorf("after a commit: got %q: %v", body, err)
	}
	o.must(t, "pause", o.name)
	o.must(t, "start", o.name)
	if body, err := get(f.address.String()); string(body) != "hello\n" || err != nil {
		t.Errorf("after a pause: got %q: %v", body, err)
	}
	o.must(t, "stop", o.name)
	if status := f.wait(t); status != 1 || !strings.Contains(f.stderr.String(), "has stopped") {
		t.Errorf("the session has stopped: status %d: %s", status, f.stderr.String())
	}
	o.nothingLeft(t)
}
