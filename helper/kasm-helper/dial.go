package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/dial"
)

func newDialCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "dial-stdio",
		Short: "Connect standard input and output with the helper's socket",
		Long: `Connect standard input and output with the helper's socket. This is how
"docker kasm" reaches a helper on another machine or in a container. It connects
with a socket only if root, or who runs this, listens on it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if socket == "" {
				return invalid("socket", socket, "give the path of a socket")
			}
			return dialStdio(cmd.Context(), socket, os.Stdin, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&socket, "socket", dial.Socket, "The helper's socket")
	return cmd
}

// dialStdio copies until the helper ends the connection, or until its own output
// is read no more. The end of its input is passed on, so that what is still on
// its way back arrives.
func dialStdio(ctx context.Context, socket string, in io.Reader, out io.Writer) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("connect to the helper: %w: is it running", err)
	}
	defer conn.Close()
	// The path may be what a volume's label says, which more people can set than
	// may listen there.
	if err := dial.Trust(conn); err != nil {
		return fmt.Errorf("connect to the helper: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	go func() {
		_, err := io.Copy(conn, in)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
			_ = half.CloseWrite()
			return
		}
		_ = conn.Close()
	}()
	if _, err := io.Copy(out, conn); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("copy from the helper: %w", err)
	}
	return nil
}
