package main

import (
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestASocketOfAnotherUserIsNotConnectedWith(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	w := newWorld(t)
	if err := os.Chmod(w.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := w.path("theirs.sock")
	var theirs net.Listener
	listening := make(chan error)
	go func() {
		// The thread alone is nobody's, and ends with this.
		runtime.LockOSThread()
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			listening <- errno
			return
		}
		var err error
		theirs, err = net.Listen("unix", path)
		listening <- err
	}()
	if err := <-listening; err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	p := start(t, nil, nil, "dial-stdio", "--socket", path)
	if code := p.wait(t); code != 1 || !strings.Contains(p.stderr.String(), "who is neither root nor you") || p.stdout.Len() != 0 {
		t.Errorf("exit code %d, %q: %s", code, p.stdout.String(), p.stderr.String())
	}
}
