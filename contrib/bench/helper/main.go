// Command helper measures kasm-helper beside the engine of DOCKER_HOST, and a call
// over ssh if there is a way: see the script beside it, which `make bench` runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/client"
)

const (
	base     = "demo:latest"
	prefix   = "kasm-bench/w"
	idleTime = time.Minute
	// settle is how long a helper that has just started is left alone.
	settle = 15 * time.Second
)

func main() {
	remote := flag.String("ssh", "", "the engine's address over ssh, where the program is on the PATH, such as ssh://root@127.0.0.1:2222")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: helper [--ssh ADDRESS] PROGRAM")
		os.Exit(2)
	}
	if err := run(context.Background(), flag.Arg(0), *remote); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program, remote string) error {
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
	if err := inContainer(ctx, engine, remote); err != nil {
		return err
	}
	if err := few(ctx, engine, program, remote); err != nil {
		return err
	}
	if err := many(ctx, engine, program); err != nil {
		return err
	}
	return starts(ctx, engine, program)
}

// few measures what does not depend on the workspaces: calls, and the engine's rest.
func few(ctx context.Context, engine *client.Client, program, remote string) (err error) {
	h, err := start(ctx, engine, program, 10)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	took, err := warm(ctx, h.dial)
	if err != nil {
		return err
	}
	fmt.Printf("warm call on the unix socket: %s (goal 1 ms)\n", took)
	if err := asService(ctx, remote, h.socket); err != nil {
		return err
	}
	return h.rest(10)
}

// many measures a helper that watches 1,000 workspaces: at rest, and while their
// images come.
func many(ctx context.Context, engine *client.Client, program string) (err error) {
	const n = 1000
	h, err := start(ctx, engine, program, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	if err := h.rest(n); err != nil {
		return err
	}
	if err := changes(ctx, engine, h, n); err != nil {
		return err
	}
	return h.memory("1,000 workspaces, after the changes")
}

// rest counts what the helper asks of the engine while nothing happens.
func (h *helper) rest(workspaces int) error {
	time.Sleep(settle)
	before := h.engine.counts()
	time.Sleep(idleTime)
	var parts []string
	calls := 0
	for path, n := range h.engine.counts() {
		if n -= before[path]; n > 0 {
			calls += n
			parts = append(parts, fmt.Sprintf("%d %s", n, path))
		}
	}
	slices.Sort(parts)
	fmt.Printf("%d workspaces: %.1f engine calls a minute when idle: %s\n", workspaces, float64(calls)/idleTime.Minutes(), strings.Join(parts, ", "))
	return h.memory(fmt.Sprintf("%d workspaces", workspaces))
}

// starts measures how long the helper takes to answer with 10,000 files, at best:
// another process may have the processor meanwhile.
func starts(ctx context.Context, engine *client.Client, program string) error {
	var least, processor time.Duration
	for range 5 {
		h, err := start(ctx, engine, program, 10000)
		if err != nil {
			return err
		}
		used, err := h.processor()
		if err := errors.Join(err, h.stop()); err != nil {
			return err
		}
		if least == 0 || h.took < least {
			least = h.took
		}
		if processor == 0 || used < processor {
			processor = used
		}
	}
	fmt.Printf("start with 10,000 files, least of 5: %d ms, %d ms of processor time\n", least.Milliseconds(), processor.Milliseconds())
	return nil
}
