package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// helper is one that was started for this.
type helper struct {
	cmd    *exec.Cmd
	client *helperapi.Client
	engine *proxy
	dir    string
	socket string
	took   time.Duration
}

// start starts a helper with n workspaces, and waits until it answers.
func start(ctx context.Context, engine *client.Client, program string, n int) (h *helper, err error) {
	dir, err := os.MkdirTemp("", "kasm-bench-*")
	if err != nil {
		return nil, err
	}
	h = &helper{dir: dir, socket: filepath.Join(dir, "s")}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.stop())
		}
	}()
	if err := os.MkdirAll(filepath.Join(dir, "workspaces"), 0o700); err != nil {
		return nil, err
	}
	for i := range n {
		text := fmt.Sprintf("friendly_name = \"W %d\"\nimage = \"%s%d:1\"\n[resources]\nmemory = \"1g\"\n[run]\nports = [\"127.0.0.1::6901\"]\n", i, prefix, i)
		if err := os.WriteFile(filepath.Join(dir, "workspaces", fmt.Sprintf("w%d.toml", i)), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if h.engine, err = newProxy(filepath.Join(dir, "e"), strings.TrimPrefix(engine.DaemonHost(), "unix://")); err != nil {
		return nil, err
	}
	began := time.Now()
	h.cmd = exec.CommandContext(ctx, program, "serve", "--announce=false", "--poll-registries=false", "--log-level", "error", //nolint:gosec // what is to be measured
		"--data", dir, "--socket", h.socket, "--host", "unix://"+filepath.Join(dir, "e"))
	h.cmd.Stderr = os.Stderr
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	h.client = helperapi.NewClient(h.dial, "bench", "")
	for h.client.Ready(ctx) != nil {
		if time.Since(began) > 2*time.Minute {
			return nil, errors.New("the helper does not come up")
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.took = time.Since(began)
	return h, nil
}

func (h *helper) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", h.socket)
}

func (h *helper) stop() error {
	var errs []error
	if h.client != nil {
		_ = h.client.Close()
		_ = h.cmd.Process.Signal(os.Interrupt)
		errs = append(errs, h.cmd.Wait())
	}
	if h.engine != nil {
		errs = append(errs, h.engine.close())
	}
	return errors.Join(append(errs, os.RemoveAll(h.dir))...)
}

// memory prints what of the helper is in memory.
func (h *helper) memory(when string) error {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.cmd.Process.Pid))
	if err != nil {
		return err
	}
	mib := map[string]float64{}
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(line, ":")
		if kib, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			if n, err := strconv.ParseFloat(kib, 64); err == nil {
				mib[name] = n / 1024
			}
		}
	}
	fmt.Printf("%s: RSS %.1f MiB, of which %.1f are the program (goal 30 MiB with 1,000)\n", when, mib["VmRSS"], mib["RssFile"])
	return nil
}

// processor is how much of it the helper has used, in the 10 ms that the kernel
// counts.
func (h *helper) processor() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The fields behind "pid (comm)": user and system time are the 14th and the
	// 15th of all.
	_, rest, _ := strings.Cut(string(data), ") ")
	var ticks int64
	for _, field := range strings.Fields(rest)[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
