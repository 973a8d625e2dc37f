package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/docker/go-connections/sockets"
	"github.com/gofrs/flock"
)

const socketMode = 0o660

// listen returns the socket that systemd has made, or makes one of its own,
// which members of a group may use besides its owner.
func listen(ctx context.Context, path, group string) (net.Listener, error) {
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
	lock, err := claim(ctx, path)
	if err != nil {
		return nil, err
	}
	options := []sockets.SockOption{sockets.WithChmod(socketMode)}
	if group != "" {
		gid, err := groupID(group)
		if err != nil {
			return nil, errors.Join(err, lock.Close())
		}
		options = append(options, sockets.WithChown(os.Getuid(), gid))
	}
	l, err := sockets.NewUnixSocketWithOpts(path, options...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), lock.Close())
	}
	return claimed{l, lock}, nil
}

// claimed is a listener on a path that no other helper takes over.
type claimed struct {
	net.Listener
	lock *flock.Flock
}

// Close removes the socket, and only then lets others have the path.
func (c claimed) Close() error { return errors.Join(c.Listener.Close(), c.lock.Close()) }

// claim sees to it that a socket can be made at a path without taking that of
// somebody who listens there. Helpers keep each other away by a lock, which stays
// as a file: two that begin at once would both find the path free. Others, such as
// systemd, are found by a connection.
func claim(ctx context.Context, path string) (*flock.Flock, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the socket %s: %w", path, err)
	}
	if !got {
		return nil, inUse(path)
	}
	if err := free(ctx, path); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// free fails unless there is nothing at a path, or a socket that nobody listens
// on.
func free(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way, which is no socket: remove it, or give another --socket", path)
	}
	d := net.Dialer{Timeout: probe}
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(inUse(path), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("find out whether somebody listens on the socket: %w", err)
}

// probe bounds how long one is waited for who does not take connections up.
const probe = 5 * time.Second

func inUse(path string) error {
	return fmt.Errorf("another helper listens on %s: end that one, or give another --socket", path)
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

// own keeps other helpers away from a data folder.
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
