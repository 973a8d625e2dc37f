//go:build unix

package main

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/dial"
)

// awaitAnnounced returns where clients are told that the helper is.
func awaitAnnounced(t *testing.T, w *world) string {
	t.Helper()
	select {
	case v := <-w.announced:
		if v.Name != dial.Volume || v.Labels[dial.LabelKind] != dial.Service {
			t.Errorf("volume %q with %v announces nothing", v.Name, v.Labels)
		}
		return v.Labels[dial.LabelSocket]
	case <-time.After(patience):
		t.Fatal("the helper does not announce itself")
		return ""
	}
}

func TestASocketOfSystemdIsUsedAnnouncedWatchedAndLeft(t *testing.T) {
	w := newWorld(t)
	l := listenOn(t, w.path("systemd.sock"))
	passed, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	before := stat(t, w.path("systemd.sock"))

	p := w.serve(t, passed, "--socket", w.path("flag.sock"))
	w.await(t, p, "READY=1")
	if got := awaitAnnounced(t, w); got != w.path("systemd.sock") {
		t.Errorf("clients are told %s", got)
	}
	// Only a helper that answers on that socket says so.
	w.await(t, p, "WATCHDOG=1")
	w.end(t, p)

	if !os.SameFile(before, stat(t, w.path("systemd.sock"))) {
		t.Error("the socket is another than systemd's")
	}
	if _, err := os.Lstat(w.path("flag.sock")); err == nil {
		t.Error("the helper made a socket besides systemd's")
	}
	// As after a crash: whoever connects meanwhile is answered by the next helper.
	p = w.serve(t, passed)
	w.await(t, p, "WATCHDOG=1")
	w.end(t, p)
}

func TestOnlyUnixSocketsAreTakenFromSystemd(t *testing.T) {
	w := newWorld(t)
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	abstract := listenOn(t, "@"+w.path("abstract"))
	for _, c := range []struct {
		name string
		of   interface{ File() (*os.File, error) }
	}{
		{"TCP", tcp}, {"without a path", abstract}, {"datagrams", w.notify},
	} {
		t.Run(c.name, func(t *testing.T) {
			passed, err := c.of.File()
			if err != nil {
				t.Fatal(err)
			}
			defer passed.Close()
			p := w.serve(t, passed)
			if code := p.wait(t); code != 1 || !strings.Contains(p.stderr.String(), "something else than a unix socket") {
				t.Errorf("exit code %d: %s", code, p.stderr.String())
			}
		})
	}
}

func TestASocketOfItsOwnReplacesAStaleOneAndGoesWithTheHelper(t *testing.T) {
	w := newWorld(t)
	stale := listenOn(t, w.path("helper.sock"))
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	// A path that means another file where the clients are.
	p := w.serve(t, nil, "--socket", "helper.sock")
	w.await(t, p, "READY=1")
	if got := awaitAnnounced(t, w); !filepath.IsAbs(got) || filepath.Base(got) != "helper.sock" {
		t.Errorf("clients are told %s", got)
	}
	if mode := stat(t, w.path("helper.sock")).Mode(); mode != fs.ModeSocket|0o660 {
		t.Errorf("the socket has mode %v", mode)
	}
	w.await(t, p, "WATCHDOG=1")
	w.end(t, p)
	if _, err := os.Lstat(w.path("helper.sock")); err == nil {
		t.Error("the socket is left behind")
	}
}

func TestASecondHelperOnADataFolderIsRefusedAndTheFirstGoesOn(t *testing.T) {
	w := newWorld(t)
	first := w.serve(t, nil, "--socket", w.path("helper.sock"))
	w.await(t, first, "READY=1")
	second := w.serve(t, nil, "--socket", w.path("helper.sock"))
	if code := second.wait(t); code != 1 || !strings.Contains(second.stderr.String(), "another helper uses the data folder "+w.path("data")) {
		t.Errorf("exit code %d: %s", code, second.stderr.String())
	}
	w.await(t, first, "WATCHDOG=1")
	w.end(t, first)
}

func TestASecondHelperDoesNotTakeASocketThatIsInUse(t *testing.T) {
	w := newWorld(t)
	first := w.serve(t, nil, "--socket", w.path("helper.sock"))
	w.await(t, first, "READY=1")
	before := stat(t, w.path("helper.sock"))
	second := w.serve(t, nil, "--data", w.path("other"), "--socket", w.path("helper.sock"))
	if code := second.wait(t); code != 1 || !strings.Contains(second.stderr.String(), "another helper listens on "+w.path("helper.sock")) {
		t.Errorf("exit code %d: %s", code, second.stderr.String())
	}
	if !os.SameFile(before, stat(t, w.path("helper.sock"))) {
		t.Error("the socket is another's")
	}
	w.await(t, first, "WATCHDOG=1")
	w.end(t, first)
	// Its end frees the path, and so does a kill.
	third := w.serve(t, nil, "--data", w.path("other"), "--socket", w.path("helper.sock"))
	w.await(t, third, "READY=1")
	if err := third.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	third.wait(t)
	fourth := w.serve(t, nil, "--socket", w.path("helper.sock"))
	w.await(t, fourth, "READY=1")
	w.end(t, fourth)
}

func TestWhatIsNoHelpersSocketIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*testing.T, string)
		want string
	}{
		"a socket that systemd listens on": {func(t *testing.T, path string) { t.Helper(); listenOn(t, path) }, "another helper listens on "},
		"a file": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "which is no socket"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.make(t, w.path("helper.sock"))
			before := stat(t, w.path("helper.sock"))
			p := w.serve(t, nil, "--socket", w.path("helper.sock"))
			if code := p.wait(t); code != 1 || !strings.Contains(p.stderr.String(), c.want) {
				t.Errorf("exit code %d: %s", code, p.stderr.String())
			}
			if !os.SameFile(before, stat(t, w.path("helper.sock"))) {
				t.Error("it is there no more")
			}
		})
	}
}

func stat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
