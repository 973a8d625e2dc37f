// Package server answers the requests of the helper's clients.
package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/docker-kasm/docker-kasm/helper/feed"
	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

const (
	// maxBody bounds a request's body, in bytes: a workspace file of 1 MiB, whose
	// every character JSON may write as six.
	maxBody = 8 << 20
	// slow bounds how long a client may take to send a request, or to read an
	// answer that is no stream.
	slow = 30 * time.Second
)

// Server is the helper's API.
type Server struct {
	Shelf *shelf.Shelf
	// Roster has the sessions of the shelf's workspaces that no label tells of.
	Roster  *roster.Store
	Tasks   *task.Store
	Jobs    Jobs
	Watcher Watcher
	// Lifetimes knows when sessions expire, Feed tells what happens.
	Lifetimes Lifetimes
	Feed      *feed.Feed
	Engine    Engine
	// Disk tells the room where the engine keeps its data, nil if it cannot; a nil
	// Disk never can.
	Disk    func(ctx context.Context) *helperapi.Disk
	Version helperapi.VersionInfo
	Log     *slog.Logger
	// Started is when the helper was.
	Started time.Time

	counts *metrics
	// ending is closed when the helper ends, and with it the streams.
	ending <-chan struct{}
}

// Route is one operation of the API.
type Route struct {
	// Method and Path are as in openapi.yaml.
	Method, Path string
	handle       func(http.ResponseWriter, *http.Request) error
	// stream is set where the answer goes on until the client leaves.
	stream bool
}

// Routes are the operations of the API.
func (s *Server) Routes() []Route {
	const v = "/" + helperapi.Version
	return []Route{
		{http.MethodGet, "/healthz", s.healthz, false},
		{http.MethodGet, "/readyz", s.readyz, false},
		{http.MethodGet, v + "/version", s.version, false},
		{http.MethodGet, v + "/status", s.status, false},
		{http.MethodGet, v + "/workspaces", s.listWorkspaces, false},
		{http.MethodGet, v + "/workspaces/{name}", s.getWorkspace, false},
		{http.MethodPut, v + "/workspaces/{name}", s.putWorkspace, false},
		{http.MethodDelete, v + "/workspaces/{name}", s.deleteWorkspace, false},
		{http.MethodGet, v + "/tasks", s.listTasks, false},
		{http.MethodPost, v + "/tasks", s.submitTask, false},
		{http.MethodGet, v + "/tasks/{id}", s.getTask, false},
		{http.MethodDelete, v + "/tasks/{id}", s.deleteTask, false},
		{http.MethodPost, v + "/tasks/{id}/cancel", s.cancelTask, false},
		{http.MethodPost, v + "/tasks/{id}/retry", s.retryTask, false},
		{http.MethodGet, v + "/tasks/{id}/log", s.taskLog, true},
		{http.MethodGet, v + "/events", s.events, true},
		{http.MethodGet, v + "/sessions", s.listSessions, false},
		{http.MethodPut, v + "/sessions/{id}", s.putSession, false},
		{http.MethodDelete, v + "/sessions/{id}", s.deleteSession, false},
		{http.MethodGet, v + "/sessions/{id}/expiry", s.sessionExpiry, false},
		{http.MethodPost, v + "/sessions/{id}/extend", s.extendSession, false},
		{http.MethodGet, "/metrics", s.scrape, false},
	}
}

// Handler serves the API.
func (s *Server) Handler() http.Handler {
	s.counts = newMetrics(s)
	mux := http.NewServeMux()
	for _, r := range s.Routes() {
		mux.HandleFunc(r.Method+" "+r.Path, func(w http.ResponseWriter, req *http.Request) {
			start := time.Now()
			status := s.serve(w, req, r.handle)
			if !r.stream {
				s.counts.requests.WithLabelValues(r.Method, r.Path, strconv.Itoa(status)).Observe(time.Since(start).Seconds())
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		s.serve(w, req, func(http.ResponseWriter, *http.Request) error {
			return &helperapi.Problem{
				Type: helperapi.KindUnknown, Title: "Not found", Status: http.StatusNotFound,
				Detail: fmt.Sprintf("the helper (%s) has no operation %s %s: it may be older than the plugin, see `docker kasm helper upgrade`", s.Version.Version, req.Method, req.URL.Path),
			}
		})
	})
	return mux
}

// Serve answers requests on l until ctx ends, and then sees those under way
// through, for a short while.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true) // for curl --unix-socket, and for scrapers of metrics
	protocols.SetUnencryptedHTTP2(true)
	s.ending = ctx.Done()
	server := &http.Server{
		Handler: s.Handler(), Protocols: &protocols,
		ReadHeaderTimeout: slow, ReadTimeout: slow, WriteTimeout: slow, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return server.Close()
	}
	return nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, handle func(http.ResponseWriter, *http.Request) error) (status int) {
	start := time.Now()
	answer := &answer{ResponseWriter: w}
	w.Header().Set(helperapi.HeaderVersion, s.Version.Version)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
				panic(p)
			}
			s.Log.Error("a request made the helper panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			answer.problem(fmt.Errorf("the helper failed: %v", p))
		}
		s.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", answer.status, "user", r.Header.Get(helperapi.HeaderUser), "took", time.Since(start))
		status = answer.status
	}()
	if err := handle(answer, r); err != nil {
		if r.Context().Err() == nil {
			s.Log.Info("refused", "method", r.Method, "path", r.URL.Path, "user", r.Header.Get(helperapi.HeaderUser), "error", err.Error())
		}
		answer.problem(err)
	}
	return answer.status
}

// answer knows whether it has begun.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) problem(err error) {
	if a.status != 0 {
		panic(http.ErrAbortHandler) // the client is not to take half for the whole
	}
	p := helperapi.AsProblem(err)
	a.Header().Set("Content-Type", helperapi.TypeProblem)
	a.WriteHeader(p.Status)
	_ = json.NewEncoder(a).Encode(p)
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}
