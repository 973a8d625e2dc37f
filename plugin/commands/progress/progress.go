// Package progress shows the events of a snapshot or a pull: as lines, as layer
// bars on a terminal, or as JSON.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/cli/cli/streams"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
)

// Modes are the values of --progress.
func Modes() []string { return []string{"auto", "plain", "json"} }

// View shows events. Close ends it; it must be called before anything else is
// written to the same stream.
type View interface {
	Event(snapshot.Event)
	Close()
}

// New returns the view for a mode. auto shows layer bars where out is a
// terminal and lines elsewhere.
func New(mode string, out *streams.Out) (View, error) {
	switch mode {
	case "auto":
		return &lines{out: display.Writer(out), layers: Layers(out, out.IsTerminal())}, nil
	case "plain":
		return &lines{out: display.Writer(out), layers: Layers(out, false)}, nil
	case "json":
		return jsonView{json.NewEncoder(out)}, nil
	}
	return nil, fmt.Errorf("invalid value %q for --progress: use auto, plain or json", mode)
}

// Quiet is a view that shows nothing.
func Quiet() View { return quiet{} }

type quiet struct{}

func (quiet) Event(snapshot.Event) {}
func (quiet) Close()               {}

type jsonView struct{ enc *json.Encoder }

func (v jsonView) Event(e snapshot.Event) {
	// A reader that has gone must not stop the snapshot.
	_ = v.enc.Encode(e)
}
func (jsonView) Close() {}

// lines writes a line for whatever is worth one.
type lines struct {
	out     io.Writer
	layers  *LayerView
	started time.Time
}

func (v *lines) Event(e snapshot.Event) {
	if e.Type == snapshot.Progress {
		if e.Layer != nil {
			v.layers.Show(*e.Layer)
		}
		return
	}
	v.layers.Flush()
	switch e.Type {
	case snapshot.Started:
		v.started = e.Time
		if e.Step == snapshot.StepCommit {
			v.line(e.Step, "writing the image")
		}
	case snapshot.Info:
		v.line(e.Step, e.Message)
	case snapshot.Warning:
		v.line(e.Step, "warning: "+e.Message)
	case snapshot.Done:
		if e.Step == snapshot.StepCommit || e.Step == snapshot.StepPush {
			v.line(e.Step, "done in "+e.Time.Sub(v.started).Round(100*time.Millisecond).String())
		}
	case snapshot.FailedStep, snapshot.Progress:
		// The error itself is printed last, once.
	}
}

func (v *lines) line(step snapshot.Step, text string) {
	fmt.Fprintf(v.out, "%-10s %s\n", step, display.Line(strings.ReplaceAll(text, "\n", "; ")))
}

func (v *lines) Close() { v.layers.Flush() }

// LayerView shows the messages of a push or pull as the docker CLI does.
type LayerView struct {
	out      *streams.Out
	terminal bool
	pipe     *io.PipeWriter
	done     chan struct{}
}

// Layers returns a view of layers on out; with bars where terminal is set.
func Layers(out *streams.Out, terminal bool) *LayerView {
	return &LayerView{out: out, terminal: terminal}
}

// Show shows one message.
func (v *LayerView) Show(msg jsonmessage.JSONMessage) {
	if v.pipe == nil {
		r, w := io.Pipe()
		v.pipe, v.done = w, make(chan struct{})
		go func() {
			defer close(v.done)
			out := io.Writer(v.out)
			if !v.terminal {
				out = display.Writer(out)
			}
			// Errors end the display, not the work: the pipe is drained.
			_ = jsonmessage.DisplayJSONMessagesStream(r, out, v.out.FD(), v.terminal, nil)
			_, _ = io.Copy(io.Discard, r)
		}()
	}
	msg.ID, msg.Status = display.Line(msg.ID), display.Line(msg.Status)
	_ = json.NewEncoder(v.pipe).Encode(msg)
}

// Flush ends what Show began; the next message starts a new block.
func (v *LayerView) Flush() {
	if v.pipe == nil {
		return
	}
	_ = v.pipe.Close()
	<-v.done
	v.pipe = nil
}
