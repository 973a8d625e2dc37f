// Package browse shows addresses in the user's browser.
package browse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pkg/browser"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/plugin/commands/detached"
	"github.com/docker-kasm/docker-kasm/plugin/commands/globals"
)

// commandName is the hidden command whose process starts the browser.
const commandName = "open-browser"

// patience is how long a browser may take to say that it does not start.
const patience = 5 * time.Second

// Check refuses addresses that are not for a browser or a viewer: they can be what a
// container's label says, and some schemes run programs.
func Check(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || strings.HasPrefix(u.Host, "-") || !slices.Contains([]string{"http", "https", "vnc", "rdp"}, u.Scheme) {
		return fmt.Errorf("%q is not opened, as it is no address of the kinds http, https, vnc and rdp", display.Line(address))
	}
	return nil
}

// Open shows an address. The error is that of a browser that does not start, as far
// as that is known soon. The browser is a process apart, which an interrupt does not
// end.
func Open(ctx context.Context, address string) error {
	if err := Check(address); err != nil {
		return err
	}
	cmd, err := detached.Command(globals.Of(os.Args), commandName, address)
	if err != nil {
		return fmt.Errorf("start a browser: %w", err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a browser: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if text := display.Line(strings.TrimSpace(said.String())); err != nil && text != "" {
			return errors.New(text)
		}
		return err
	case <-ctx.Done():
	case <-time.After(patience):
		// Some stay until the browser is closed.
	}
	return nil
}

// NewCommand returns the hidden command that starts the browser.
func NewCommand() *cobra.Command {
	return &cobra.Command{
		Use:    commandName,
		Short:  "Show an address in the browser",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := Check(args[0]); err != nil {
				return err
			}
			// What it prints is nobody's.
			browser.Stdout, browser.Stderr = nil, nil
			if err := browser.OpenURL(args[0]); err != nil {
				return fmt.Errorf("start a browser: %w", err)
			}
			return nil
		},
	}
}
