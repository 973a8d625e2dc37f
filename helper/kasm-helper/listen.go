package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/docker/go-connections/sockets"
	"github.com/gofrs/flock"
)

const socketMode = 0o660

// listen returns the socket that systemd has made, or makes one of its own,
// which members of a group may use besides its owner.
func listen(path, group string) (net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take the socket over from systemd: %w", err)
	}
	if len(passed) > 1 {
		return nil, fmt.Errorf("systemd passed %d sockets: there can be one", len(passed))
	}
	if len(passed) == 1 {
		return taken(passed[0])
	}
	// Clients are told the path, which is the same for them wherever they are.
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("find the folder of the socket: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the socket has a mode of its own
		return nil, fmt.Errorf("make the folder of the socket: %w", err)
	}
	options := []sockets.SockOption{sockets.WithChmod(socketMode)}
	if group != "" {
		gid, err := groupID(group)
		if err != nil {
			return nil, err
		}
		options = append(options, sockets.WithChown(os.Getuid(), gid))
	}
	l, err := sockets.NewUnixSocketWithOpts(path, options...)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

// taken checks a socket that systemd has made; nil is one that cannot be listened
// on.
func taken(passed net.Listener) (net.Listener, error) {
	l, ok := passed.(*net.UnixListener)
	if !ok || l.Addr().Network() != "unix" || !filepath.IsAbs(l.Addr().String()) {
		return nil, errors.New("systemd passed something else than a unix socket that has a path: give one as ListenStream= of kasm-helper.socket")
	}
	// It stays systemd's, which listens on it until the helper is started again.
	l.SetUnlinkOnClose(false)
	return l, nil
}

// own keeps other helpers away from a data folder, and from the socket of the
// one that has it.
func own(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ".lock"), flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if !got {
		return nil, errors.New("another helper uses the data folder " + dir)
	}
	return lock, nil
}
