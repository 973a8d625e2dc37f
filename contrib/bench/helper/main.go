// Command helper measures kasm-helper beside the engine of DOCKER_HOST:
//
//	go run ./contrib/bench/helper bin/kasm-helper-linux-amd64
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

const (
	base     = "demo:latest"
	prefix   = "kasm-bench/w"
	idleTime = time.Minute
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: helper PROGRAM")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string) error {
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	fmt.Printf("helper binary: %.1f MB (goal 15 MB)\n", float64(info.Size())/1e6)
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := calls(ctx, engine); err != nil {
		return err
	}
	for _, n := range []int{10, 1000} {
		if err := watching(ctx, engine, program, n); err != nil {
			return err
		}
	}
	h, err := start(ctx, program, 10000)
	if err != nil {
		return err
	}
	fmt.Printf("start with 10,000 files: %d ms\n", h.took.Milliseconds())
	return h.stop()
}

// calls measures a call over a connection that is there, by an exec in the
// helper's container; there is none unless `docker kasm helper install` was run.
func calls(ctx context.Context, engine *client.Client) error {
	way, err := dial.Find(ctx, engine, engine.DaemonHost())
	if errors.Is(err, dial.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	took, err := call(ctx, helperapi.NewClient(way.Dial, "bench", ""))
	if err != nil {
		return err
	}
	fmt.Printf("warm call by exec: %.2f ms (goal 1 ms over a unix socket)\n", took)
	return nil
}

// call is the median time of a call, in milliseconds.
func call(ctx context.Context, c *helperapi.Client) (float64, error) {
	defer c.Close()
	var times []time.Duration
	for range 1000 {
		began := time.Now()
		if _, err := c.Version(ctx); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2].Seconds() * 1000, nil
}

// helper is one that was started for this.
type helper struct {
	cmd    *exec.Cmd
	client *helperapi.Client
	dir    string
	socket string
	took   time.Duration
}

// start starts a helper with n workspaces, and waits until it answers.
func start(ctx context.Context, program string, n int) (*helper, error) {
	dir, err := os.MkdirTemp("", "kasm-bench-*")
	if err != nil {
		return nil, err
	}
	h := &helper{dir: dir, socket: filepath.Join(dir, "s")}
	if err := os.MkdirAll(filepath.Join(dir, "workspaces"), 0o700); err != nil {
		return nil, err
	}
	for i := range n {
		text := fmt.Sprintf("friendly_name = \"W %d\"\nimage = \"%s%d:1\"\n[resources]\nmemory = \"1g\"\n[run]\nports = [\"127.0.0.1::6901\"]\n", i, prefix, i)
		if err := os.WriteFile(filepath.Join(dir, "workspaces", fmt.Sprintf("w%d.toml", i)), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	h.cmd = exec.CommandContext(ctx, program, "serve", "--announce=false", "--poll-registries=false", "--log-level", "error", "--data", dir, "--socket", h.socket) //nolint:gosec // what is to be measured
	h.cmd.Stderr = os.Stderr
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	h.client = helperapi.NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", h.socket)
	}, "bench", "")
	for h.client.Ready(ctx) != nil {
		if time.Since(began) > 2*time.Minute {
			return nil, errors.New("the helper does not come up")
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.took = time.Since(began)
	return h, nil
}

func (h *helper) stop() error {
	_ = h.client.Close()
	_ = h.cmd.Process.Signal(os.Interrupt)
	return errors.Join(h.cmd.Wait(), os.RemoveAll(h.dir))
}

// status reads a line of the process's status, such as VmRSS, in MiB.
func (h *helper) status(name string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// metric reads one of the helper's metrics that has no labels.
func (h *helper) metric(ctx context.Context, name string) (float64, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", h.socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://helper/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 1<<20))
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// watching measures a helper that watches n workspaces: at rest, and while their
// images come.
func watching(ctx context.Context, engine *client.Client, program string, n int) error {
	h, err := start(ctx, program, n)
	if err != nil {
		return err
	}
	took, err := call(ctx, helperapi.NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", h.socket)
	}, "bench", ""))
	if err != nil {
		return err
	}
	before, err := h.metric(ctx, "kasm_helper_engine_requests_total")
	if err != nil {
		return err
	}
	time.Sleep(idleTime)
	after, err := h.metric(ctx, "kasm_helper_engine_requests_total")
	if err != nil {
		return err
	}
	rss, err := h.status("VmRSS")
	if err != nil {
		return err
	}
	fmt.Printf("%d workspaces: warm call on the socket %.2f ms, %.0f engine calls a minute when idle, RSS %.1f MiB (goal 30 MiB)\n", n, took, (after-before)/idleTime.Minutes(), rss)
	if err := changes(ctx, engine, h, n); err != nil {
		return err
	}
	return h.stop()
}

// changes measures the time from a new image to the state that tells of it.
func changes(ctx context.Context, engine *client.Client, h *helper, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	seen, ready, failed := make(chan string, n), make(chan struct{}), make(chan error, 1)
	go func() {
		for e, err := range h.client.Events(ctx) {
			switch {
			case err != nil:
				failed <- err
				return
			case e.Type == helperapi.EventReady:
				close(ready)
			case e.Availability != nil && e.Availability.Now.State == availability.Available:
				seen <- e.Availability.Workspace
			}
		}
	}()
	<-ready
	var times []time.Duration
	for i := range n {
		name := fmt.Sprintf("%s%d:1", prefix, i)
		began := time.Now()
		if err := engine.ImageTag(ctx, base, name); err != nil {
			return err
		}
		for got := ""; got != fmt.Sprintf("w%d", i); {
			select {
			case got = <-seen:
			case err := <-failed:
				return err
			}
		}
		times = append(times, time.Since(began))
	}
	for i := range n {
		if _, err := engine.ImageRemove(ctx, fmt.Sprintf("%s%d:1", prefix, i), image.RemoveOptions{}); err != nil {
			return err
		}
	}
	slices.Sort(times)
	fmt.Printf("%d workspaces: from an image's name to the state, over %d changes: p50 %d ms, p99 %d ms (goal p99 1 s)\n", n, n,
		times[len(times)/2].Milliseconds(), times[len(times)*99/100].Milliseconds())
	return nil
}
