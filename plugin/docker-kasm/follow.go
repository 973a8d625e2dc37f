package main

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/docker/cli/cli-plugins/socket"
)

// followCLI calls gone once the docker CLI that runs this plugin has ended, or has
// closed its socket to pass an interrupt on. The CLI's library listens for that as well,
// but only when a command begins: it takes a CLI that was interrupted before, while the
// plugin was still starting, for one without a socket, and the command for one that
// nobody has interrupted. So this has to be called first of all.
//
// The socket is then taken from the library and from whatever the plugin starts: CLIs
// before 26.1 know the last connection only, and one that they have forgotten is closed
// as their memory is tidied, minutes later, as if the command had been interrupted.
func followCLI(gone func()) {
	address := os.Getenv(socket.EnvKey)
	if address == "" {
		return
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		gone()
	}
	if err != nil {
		return
	}
	_ = os.Unsetenv(socket.EnvKey) // fails for no name that there is
	go func() {
		defer conn.Close()
		// Nothing is ever sent; an error, such as that of a connection that was
		// never accepted, is an end too.
		_, _ = io.Copy(io.Discard, conn)
		gone()
	}()
}
