package dial

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
)

// Trust refuses a unix connection unless root, or who runs this, listens at its
// far end. Whoever may make volumes on an engine can have their label name any
// socket, and clients send credentials there. Who listens is asked of the kernel,
// and not of the file: that may be another by the time it is looked at.
func Trust(conn net.Conn) error {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("nobody can tell who listens on a connection of kind %T", conn)
	}
	path := unix.RemoteAddr().String()
	uid, err := listener(unix)
	if err != nil {
		return fmt.Errorf("find out who listens on %s: %w", path, err)
	}
	if uid == 0 || uid == os.Getuid() {
		return nil
	}
	name := "uid " + strconv.Itoa(uid)
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = u.Username
	}
	return fmt.Errorf("%s listens on %s, who is neither root nor you, and may be no helper: nothing was sent; let root or systemd make its socket, or remove what says that a helper is there with `docker volume rm %s`", name, path, Volume)
}

// listener is the user who began to listen on the socket at the far end.
func listener(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	if lost := raw.Control(func(fd uintptr) { uid, err = peer(int(fd)) }); lost != nil {
		return 0, lost
	}
	return uid, err
}
