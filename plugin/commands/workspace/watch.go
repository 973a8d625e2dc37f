package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/morikuni/aec"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
)

// quiet is how long nothing has to happen before the list is shown again: events
// come in bursts.
const quiet = 100 * time.Millisecond

// interrupted ends a watch, which has no other end, without a word.
var interrupted = cli.StatusError{StatusCode: 130} //nolint:gochecknoglobals,errname // a constant

// watch shows the list, and again whenever the helper tells that it has changed:
// on a terminal in its place, else below.
func watch(ctx context.Context, dockerCLI command.Cli, where *catalog.Catalog, options *listOptions) error {
	client, err := where.Helper(ctx)
	if err != nil {
		return fmt.Errorf("watch workspaces: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- listen(ctx, client, changes) }()
	var last []byte
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return interrupted
			}
			return err
		case <-changes:
		}
		select {
		case <-ctx.Done():
			return interrupted
		case <-time.After(quiet):
		}
		var out bytes.Buffer
		if err := show(ctx, dockerCLI, &out, where, options); err != nil {
			if ctx.Err() != nil {
				return interrupted
			}
			fmt.Fprintln(dockerCLI.Err(), display.Text(err.Error()))
		}
		if bytes.Equal(out.Bytes(), last) {
			continue
		}
		last = bytes.Clone(out.Bytes())
		if dockerCLI.Out().IsTerminal() {
			fmt.Fprint(dockerCLI.Out(), aec.EraseDisplay(aec.EraseModes.All), aec.Position(0, 0))
		}
		if _, err := dockerCLI.Out().Write(last); err != nil {
			return err
		}
	}
}

// listen tells of everything that the list may show, and goes on where events
// were missed.
func listen(ctx context.Context, client *helperapi.Client, changes chan<- struct{}) error {
	for {
		for e, err := range client.Events(ctx) {
			if errors.Is(err, helperapi.ErrMissed) {
				break
			}
			if err != nil {
				return err
			}
			switch e.Type {
			case helperapi.EventReady, helperapi.EventCatalog, helperapi.EventAvailability:
				select {
				case changes <- struct{}{}:
				default: // one is on its way
				}
			case helperapi.EventTask, helperapi.EventLifetime:
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
