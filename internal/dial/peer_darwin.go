package dial

import "golang.org/x/sys/unix"

// peer is the user at the far end of a unix connection.
func peer(fd int) (int, error) {
	found, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(found.Uid), nil
}
