package main

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/docker/cli/cli-plugins/socket"
)

func TestADockerCLIThatGoesIsAnInterrupt(t *testing.T) {
	nothing := func(*net.UnixListener) {}
	for _, c := range []struct {
		name          string
		before, after func(*net.UnixListener)
	}{
		{"before, with its socket", func(l *net.UnixListener) { l.Close() }, nothing},
		{"before, and leaves its socket", func(l *net.UnixListener) { l.SetUnlinkOnClose(false); l.Close() }, nothing},
		{"before it has answered", nothing, func(l *net.UnixListener) { l.Close() }},
		{"later", nothing, func(l *net.UnixListener) {
			if conn, err := l.Accept(); err == nil {
				conn.Close()
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c.before(l)
			t.Setenv(socket.EnvKey, path)
			gone := make(chan struct{})
			followCLI(func() { close(gone) })
			c.after(l)
			<-gone
		})
	}
}

func TestADockerCLIThatKnowsTheLastConnectionOnlyGetsOne(t *testing.T) {
	dir := t.TempDir()
	server := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"}
	l, err := net.ListenUnix("unix", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv(socket.EnvKey, server.Name)
	gone := make(chan struct{})
	followCLI(func() { close(gone) })
	socket.ConnectAndWait(func() {}) // as the library does when the command begins
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	next, err := net.DialUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "c"), Net: "unix"}, server)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	second, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.RemoteAddr().String() != next.LocalAddr().String() {
		t.Error("the plugin has connected twice")
	}
	ours.Close()
	<-gone
}

func TestTidyEndsLinesAsTerminalsDo(t *testing.T) {
	for in, want := range map[string]string{
		"ssh: no such host\r\n":        "ssh: no such host",
		"first\r\nsecond\r\nthird":     "first\nsecond\nthird",
		"a\rb":                         "a\rb",
		"":                             "",
		"open it by hand\n\n":          "open it by hand",
		"stderr=ssh: unknown host\r\n": "stderr=ssh: unknown host",
	} {
		if got := tidy(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}
