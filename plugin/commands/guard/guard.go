// Package guard keeps a process beside a snapshot that tidies up should the
// snapshot's own be killed.
package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
	"github.com/docker-kasm/docker-kasm/plugin/commands/detached"
	"github.com/docker-kasm/docker-kasm/plugin/commands/globals"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

// commandName is the hidden command that the process runs.
const commandName = "snapshot-guard"

// message is a line from a snapshot to its guard. The end of the input without
// one that is Done means that the snapshot was killed.
type message struct {
	Holder *lock.Holder `json:",omitempty"`
	// Held is set once the holder has its lock.
	Held bool `json:",omitempty"`
	Done bool `json:",omitempty"`
}

// guard is the snapshot's end of the pipe.
type guard struct {
	mu    sync.Mutex
	lines *json.Encoder
	pipe  io.Closer
}

// In returns what starts the guard of a snapshot that is about to take its lock, in
// the context of dockerCLI. Where that cannot be done the snapshot goes without: what
// it would leave when killed is then removed by the next one.
func In(dockerCLI command.Cli) func(lock.Holder) snapshot.Guard {
	options := globals.Of(os.Args)
	if context := contexts.Name(dockerCLI); context != "" {
		// These options then name none.
		options = append(slices.Clone(options), "--context", context)
	}
	return func(holder lock.Holder) snapshot.Guard { return start(options, holder) }
}

func start(options []string, holder lock.Holder) snapshot.Guard {
	cmd, err := detached.Command(options, commandName)
	if err != nil {
		return none{}
	}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return none{}
	}
	if err := cmd.Start(); err != nil {
		return none{}
	}
	g := &guard{lines: json.NewEncoder(pipe), pipe: pipe}
	g.send(message{Holder: &holder})
	return g
}

func (g *guard) send(m message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// A guard that is gone is done without.
	_ = g.lines.Encode(m)
}

func (g *guard) Held(holder lock.Holder) { g.send(message{Holder: &holder, Held: true}) }

func (g *guard) Done() {
	g.send(message{Done: true})
	_ = g.pipe.Close()
}

type none struct{}

func (none) Held(lock.Holder) {}
func (none) Done()            {}

// NewCommand returns the hidden command that a guard's process runs.
func NewCommand(dockerCLI command.Cli) *cobra.Command {
	return &cobra.Command{
		Use:    commandName,
		Short:  "Tidy up after a snapshot that is killed",
		Hidden: true,
		Args:   usage.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			last, err := watch(dockerCLI.In())
			if err != nil || last.Done || last.Holder == nil {
				return err
			}
			return tidy(cmd.Context(), dockerCLI.Client(), last)
		},
	}
}

// watch reads what a snapshot tells until its end and returns all of it as one
// message.
func watch(in io.Reader) (last message, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return message{}, fmt.Errorf("read from the snapshot: %w", err)
		}
		last.Done = m.Done
		if m.Holder != nil {
			last.Holder, last.Held = m.Holder, m.Held
		}
	}
	return last, nil
}

// patience is how long an engine, or its commit, is waited for.
const patience = 10 * time.Minute

type api interface {
	snapshot.Tidier
	lock.API
}

// tidy does what the snapshot can do no more. An engine that does not answer
// may be starting again.
func tidy(ctx context.Context, api api, last message) error {
	end := time.Now().Add(2 * patience)
	for {
		var err error
		if last.Held {
			err = snapshot.Tidy(ctx, api, *last.Holder, snapshot.TidyOptions{Patience: patience, Unseen: lock.Lease, Late: snapshot.Late})
		}
		if err == nil {
			err = lock.Remove(ctx, api, lock.Holder{Run: last.Holder.Run})
		}
		if err == nil || !engine.ConnectionLost(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}
