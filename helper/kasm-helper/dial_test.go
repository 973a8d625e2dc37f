//go:build unix

package main

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// far answers the one connection to path.
func far(t *testing.T, path string, answer func(net.Conn)) {
	t.Helper()
	l := listenOn(t, path)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		answer(conn)
	}()
}

func TestAnAnswerArrivesAfterTheEndOfTheInput(t *testing.T) {
	w := newWorld(t)
	far(t, w.path("helper.sock"), func(conn net.Conn) {
		request, _ := io.ReadAll(conn) // to its end
		_, _ = conn.Write([]byte(strings.ToUpper(string(request))))
	})
	request := strings.Repeat("ping ", 1<<16)
	p := start(t, nil, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(request) }, "dial-stdio", "--socket", w.path("helper.sock"))
	if code := p.wait(t); code != 0 || p.stdout.String() != strings.ToUpper(request) {
		t.Errorf("exit code %d, %d bytes of the answer: %s", code, p.stdout.Len(), p.stderr.String())
	}
}

func TestTheHelperAnswersThroughStandardStreams(t *testing.T) {
	w := newWorld(t)
	helper := w.serve(t, nil, "--socket", w.path("helper.sock"))
	w.await(t, helper, "READY=1")
	p := start(t, nil, func(cmd *exec.Cmd) {
		cmd.Stdin = strings.NewReader("GET /v1/version HTTP/1.0\r\n\r\n")
	}, "dial-stdio", "--socket", w.path("helper.sock"))
	if code := p.wait(t); code != 0 || !strings.HasPrefix(p.stdout.String(), "HTTP/1.0 200 OK") {
		t.Errorf("exit code %d, %q: %s", code, p.stdout.String(), p.stderr.String())
	}
	w.end(t, helper)
}

func TestNoHelperIsSaid(t *testing.T) {
	p := start(t, nil, nil, "dial-stdio", "--socket", newWorld(t).path("helper.sock"))
	if code := p.wait(t); code != 1 || !strings.Contains(p.stderr.String(), "is it running") || p.stdout.Len() != 0 {
		t.Errorf("exit code %d, %q: %s", code, p.stdout.String(), p.stderr.String())
	}
}

func TestTheProcessEndsWithTheFarSide(t *testing.T) {
	w := newWorld(t)
	far(t, w.path("helper.sock"), func(net.Conn) {})
	p := start(t, nil, func(cmd *exec.Cmd) {
		// Open until the process has ended.
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	}, "dial-stdio", "--socket", w.path("helper.sock"))
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}
