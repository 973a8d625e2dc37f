package dial

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// listenAs listens as another user, in a folder that everyone may write to, on a
// socket that everyone may use.
func listenAs(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kasm") // not t.TempDir: the paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "helper.sock")
	listening := make(chan error)
	var l net.Listener
	go func() {
		// The thread alone is another user's, and ends with this.
		runtime.LockOSThread()
		if uid != os.Getuid() {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
				listening <- errno
				return
			}
		}
		var err error
		l, err = net.Listen("unix", path)
		listening <- err
	}()
	if err := <-listening; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return path
}

func service(t *testing.T, path string) *Way {
	t.Helper()
	way, err := Find(t.Context(), &fakeEngine{labels: map[string]string{LabelKind: Service, LabelSocket: path}}, "unix:///run/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	return way
}

func TestASocketOfOnesOwnIsConnectedTo(t *testing.T) {
	conn, err := service(t, listenAs(t, os.Getuid())).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestASocketOfAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	path := listenAs(t, nobody)
	// The file may be root's: what counts is who answers.
	for _, owner := range []int{nobody, 0} {
		if err := os.Chown(path, owner, 0); err != nil {
			t.Fatal(err)
		}
		conn, err := service(t, path).Dial(t.Context())
		if conn != nil || err == nil || !strings.Contains(err.Error(), "listens on "+path+", who is neither root nor you") {
			t.Errorf("owned by %d: %v, %v", owner, conn, err)
		}
	}
}

func TestOnlyUnixConnectionsAreTrusted(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := Trust(near); err == nil {
		t.Error("nobody knows who is there")
	}
}
