package main

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"sync"
	"time"
)

// proxy stands before an engine and counts what is asked of it.
type proxy struct {
	server http.Server

	mu    sync.Mutex
	count map[string]int
}

// newProxy listens on one socket and asks the engine on another.
func newProxy(listen, engine string) (*proxy, error) {
	l, err := net.Listen("unix", listen) //nolint:noctx // at once
	if err != nil {
		return nil, err
	}
	version := regexp.MustCompile(`^/v[0-9.]+`)
	p := &proxy{count: map[string]int{}}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", engine)
		}},
		FlushInterval: -1, // events
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway) // the helper tells of it, if it is still there
		},
	}
	p.server.ReadHeaderTimeout = time.Minute
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.count[r.Method+" "+version.ReplaceAllString(r.URL.Path, "")]++
		p.mu.Unlock()
		forward.ServeHTTP(w, r)
	})
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

// counts says how often each path was asked for.
func (p *proxy) counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.count)
}

func (p *proxy) close() error {
	if err := p.server.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
