// Package screen shows what changes while somebody looks: on a terminal in its
// place, elsewhere line by line as it comes.
package screen

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/streams"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/display"
)

// interrupted ends what is shown until it is interrupted, which has no other end,
// without a word.
var interrupted = cli.StatusError{StatusCode: 130} //nolint:gochecknoglobals,errname // a constant

// clock is how often what is drawn is rendered anew, so that ages grow.
const clock = time.Second

// View is what is shown, as it is at a moment.
type View struct {
	// Render writes all of it. It is called again as time goes on, as it may tell
	// how old something is; it must not ask anybody.
	Render func(io.Writer) error
	// News is only what is new in it.
	News []byte
	// Problem says why things may not be so by now, "" if they are.
	Problem string
}

// Streams are where things are shown.
type Streams interface {
	Out() *streams.Out
	Err() *streams.Out
}

// Drawable tells whether out is a terminal that can be drawn on: there views are
// rendered, elsewhere their news are written.
func Drawable(out *streams.Out) bool { return out.IsTerminal() && os.Getenv("TERM") != "dumb" }

// Show shows each view that source tells of, until source ends. The end of ctx is
// an interrupt: exit status 130.
func Show(ctx context.Context, to Streams, source func(ctx context.Context, tell func(View)) error) error {
	views := make(chan View)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(views)
		return source(inner, func(v View) {
			select {
			case views <- v:
			case <-inner.Done():
			}
		})
	})
	group.Go(func() error {
		if Drawable(to.Out()) {
			return draw(inner, to.Out(), views)
		}
		return list(inner, to, views)
	})
	err := group.Wait()
	if ctx.Err() != nil {
		return interrupted
	}
	return err
}

// list writes news to standard output, and to standard error once what there is of
// a problem.
func list(ctx context.Context, to Streams, views <-chan View) error {
	problem := ""
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case v, ok := <-views:
			if !ok {
				return nil
			}
			if v.Problem != problem && v.Problem != "" {
				fmt.Fprintln(to.Err(), display.Line(v.Problem))
			}
			problem = v.Problem
			if _, err := to.Out().Write(v.News); err != nil {
				return err
			}
		}
	}
}

// draw keeps the terminal as the last view is now.
func draw(ctx context.Context, out *streams.Out, views <-chan View) error {
	resized, stop := resizes()
	defer stop()
	ticker := time.NewTicker(clock)
	defer ticker.Stop()
	var view View
	var last frame
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case v, ok := <-views:
			if !ok {
				return nil
			}
			view = v
		case <-resized:
		case <-ticker.C:
		}
		if view.Render == nil {
			continue
		}
		var text bytes.Buffer
		if err := view.Render(&text); err != nil {
			return err
		}
		next := frame{text: text.String(), problem: view.Problem}
		next.height, next.width = out.GetTtySize()
		if next == last {
			continue
		}
		if _, err := io.WriteString(out, next.after(last)); err != nil {
			return err
		}
		last = next
	}
}
