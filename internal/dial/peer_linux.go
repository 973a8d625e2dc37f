package dial

import "golang.org/x/sys/unix"

// peer is the user at the far end of a unix connection.
func peer(fd int) (int, error) {
	found, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(found.Uid), nil
}
