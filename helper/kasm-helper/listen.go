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
		return passed[0], nil
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
