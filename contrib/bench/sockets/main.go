// Command sockets makes several sockets that all lead to one engine, so that a bench
// has as many contexts; the last one answers late.
//
//	sockets FOLDER NUMBER DELAY ENGINE
//
// It writes "ready" once they are there: FOLDER/1.sock, FOLDER/2.sock, …
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sockets:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: sockets FOLDER NUMBER DELAY ENGINE")
	}
	number, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	delay, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	ended := make(chan error)
	for i := 1; i <= number; i++ {
		l, err := new(net.ListenConfig).Listen(context.Background(), "unix", filepath.Join(args[0], fmt.Sprintf("%d.sock", i)))
		if err != nil {
			return err
		}
		wait := time.Duration(0)
		if i == number {
			wait = delay
		}
		go func() { ended <- serve(l, wait, strings.TrimPrefix(args[3], "unix://")) }()
	}
	fmt.Println("ready")
	return <-ended
}

func serve(l net.Listener, wait time.Duration, engine string) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go forward(conn.(*net.UnixConn), wait, engine)
	}
}

// forward copies both ways until both have ended, and passes each end on.
func forward(conn *net.UnixConn, wait time.Duration, engine string) {
	defer conn.Close()
	time.Sleep(wait)
	there, err := new(net.Dialer).DialContext(context.Background(), "unix", engine)
	if err != nil {
		return
	}
	defer there.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(conn, there)
		_ = conn.CloseWrite()
	}()
	_, _ = io.Copy(there, conn)
	_ = there.(*net.UnixConn).CloseWrite()
	<-done
}
