package contexts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/cli/cli/connhelper/commandconn"
)

// TestNoProcessIsLeft asks over an ssh that never comes to an end.
func TestNoProcessIsLeft(t *testing.T) {
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s\nexec sleep 1000\n", started)
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	set := openSet(t, newCLI(t, map[string]string{"far": "ssh://far.example"}), "--contexts", "far", "--context-timeout", "1m")
	ctx, interrupt := context.WithCancel(t.Context())
	pid := make(chan int, 1)
	go func() {
		defer interrupt()
		line, err := os.ReadFile(started)
		if err != nil {
			t.Error(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(line)))
		if err != nil {
			t.Error(err)
		}
		pid <- n
	}()
	answers := Ask(ctx, set, func(context.Context, *Context, func()) (string, error) { return "", nil })
	if !errors.Is(answers[0].Err, context.Canceled) {
		t.Errorf("answer: %+v", answers[0])
	}
	set.Close()
	if err := syscall.Kill(<-pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is left: %v", err)
	}
}

func TestNoConnectionIsMadeAfterTheEnd(t *testing.T) {
	l := &lines{dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return commandconn.New(ctx, "sleep", "1000")
	}}
	first, err := l.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := first.Write([]byte("x")); err == nil {
		t.Error("a connection goes on")
	}
	if _, err := l.Dial(t.Context(), "", ""); err == nil {
		t.Error("a connection was made")
	}
}
