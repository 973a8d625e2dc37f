// Package faultproxy stands in front of a registry and makes chosen requests
// fail in chosen ways. It is for tests: serve it with net/http/httptest, push
// through its address, and look at Requests.
//
//	proxy := faultproxy.New("127.0.0.1:5000")
//	server := httptest.NewServer(proxy)
//	// The second manifest that is put is answered with 500, all others are stored.
//	proxy.Inject(faultproxy.Rule{
//		Method: http.MethodPut, Path: regexp.MustCompile(`/manifests/`), Skip: 1, Times: 1,
//		Action: faultproxy.Error(http.StatusInternalServerError, "UNKNOWN", "out of order"),
//	})
package faultproxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Proxy is an http.Handler that passes requests on to a registry, except for
// those that a Rule takes. It may be used by several goroutines at once.
type Proxy struct {
	next http.Handler

	mu       sync.Mutex
	faults   []*Fault
	requests []Request
}

// Rule says which requests fail, and how.
type Rule struct {
	// Method is the request's, "" for any.
	Method string
	// Path is searched for in the request's path, nil for any.
	Path *regexp.Regexp
	// Skip is how many such requests pass before the first that fails.
	Skip int
	// Times is how many fail then; 0 means all that follow.
	Times  int
	Action Action
}

// Request is one request that the proxy has answered.
type Request struct {
	Method, Path string
	// Status is what the client got, 0 where it got no whole answer.
	Status int
	// Received is how many bytes of the request's body were read.
	Received int64
	// Faulted is set where a rule took the request.
	Faulted bool
}

// New returns a proxy for the registry at upstream: HOST:PORT, or a URL. It
// panics where upstream is neither.
func New(upstream string) *Proxy {
	if !strings.Contains(upstream, "://") {
		upstream = "http://" + upstream
	}
	target, err := url.Parse(upstream)
	if err != nil || target.Host == "" {
		panic(fmt.Sprintf("faultproxy: %q is no address of a registry", upstream))
	}
	return &Proxy{next: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// The registry makes the addresses of uploads from the host it was
			// asked as: they have to lead here.
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			// The client has gone in the midst of its request, or the registry has.
			reset(w)
		},
	}}
}

// Inject adds a rule. Each request goes to the first rule that takes it, in
// the order they were added; one that a rule has taken does not count for the
// Skip and Times of later ones.
func (p *Proxy) Inject(rule Rule) *Fault {
	f := &Fault{rule: rule, hit: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

// Clear removes all rules, and forgets the requests so far.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.requests = nil, nil
}

// Requests returns the requests answered so far, in the order they ended.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// ServeHTTP answers a request as the first rule that takes it says, or as the
// registry does.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := &countedBody{ReadCloser: r.Body}
	r.Body = body
	rec := &recorder{ResponseWriter: w}
	fault := p.take(r)
	whole := false
	defer func() { // also where an action cuts the answer off
		p.mu.Lock()
		defer p.mu.Unlock()
		done := Request{Method: r.Method, Path: r.URL.Path, Received: body.count(), Faulted: fault != nil}
		if whole && !rec.reset {
			done.Status = rec.status
		}
		p.requests = append(p.requests, done)
	}()
	if fault != nil {
		fault.rule.Action(rec, r, p.next)
	} else {
		p.next.ServeHTTP(rec, r)
	}
	whole = true
}

// take finds the rule for a request and counts it.
func (p *Proxy) take(r *http.Request) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		if f.takes(r) {
			return f
		}
	}
	return nil
}

// Fault is a rule at work.
type Fault struct {
	rule Rule
	// seen counts the requests that matched; the proxy's lock guards it.
	seen int
	hit  chan struct{}
}

// Hit is closed when the rule takes its first request, before its action runs.
func (f *Fault) Hit() <-chan struct{} { return f.hit }

func (f *Fault) takes(r *http.Request) bool {
	if f.rule.Method != "" && f.rule.Method != r.Method || f.rule.Path != nil && !f.rule.Path.MatchString(r.URL.Path) {
		return false
	}
	f.seen++
	taken := f.seen - f.rule.Skip
	if taken < 1 || f.rule.Times > 0 && taken > f.rule.Times {
		return false
	}
	if taken == 1 {
		close(f.hit)
	}
	return true
}

// recorder keeps the status that was sent.
type recorder struct {
	http.ResponseWriter
	status int
	reset  bool
}

func (r *recorder) WriteHeader(status int) {
	if status >= http.StatusOK && r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what the server's own writer can do.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// countedBody counts what is read of a request's body. The transport may still
// read when the answer is there already.
type countedBody struct {
	io.ReadCloser
	mu sync.Mutex
	n  int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n += int64(n)
	return n, err
}

func (b *countedBody) count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}
