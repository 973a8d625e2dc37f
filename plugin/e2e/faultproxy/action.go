package faultproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Action answers a request that a Rule took. next is the registry.
type Action func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Status answers with a status and a body that is no registry's, as a load
// balancer does. Headers are pairs of name and value.
func Status(status int, body string, headers ...string) Action {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		answer(w, status, "text/html", []byte(body), headers)
	}
}

// Error answers as registries do, with one error of the distribution
// specification, such as 403, "DENIED", "requested access to the resource is
// denied". Headers are pairs of name and value.
func Error(status int, code, message string, headers ...string) Action {
	body, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
	if err != nil {
		panic(err) // three strings
	}
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		answer(w, status, "application/json", body, headers)
	}
}

// Unauthorized answers 401 and asks for a login with user and password.
func Unauthorized() Action {
	return Error(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required", "WWW-Authenticate", `Basic realm="faultproxy"`)
}

// TooManyRequests answers 429 with Retry-After, and says it in the message the
// way Docker Hub and GHCR do.
func TooManyRequests(after time.Duration) Action {
	seconds := strconv.FormatFloat(after.Seconds(), 'f', -1, 64)
	whole := strconv.Itoa(int((after + time.Second - 1) / time.Second))
	return Error(http.StatusTooManyRequests, "TOOMANYREQUESTS", "retry-after: "+seconds+"s, allowed: 44000/minute", "Retry-After", whole)
}

// Reset ends the connection with a TCP reset before anything is answered.
func Reset() Action { return ResetAfter(0) }

// ResetAfter reads n bytes of the request's body at most and then ends the
// connection with a TCP reset.
func ResetAfter(n int64) Action {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		reset(w)
	}
}

// Truncate passes the request on and cuts the body of the answer after n bytes.
func Truncate(n int) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutter{ResponseWriter: w, left: n}, r)
	}
}

// Delay waits and then passes the request on; it ends early when the client
// has gone.
func Delay(d time.Duration) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			reset(w)
		}
	}
}

// Hold waits until release is closed and then passes the request on; it ends
// early when the client has gone.
func Hold(release <-chan struct{}) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-release:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			reset(w)
		}
	}
}

// Alter passes the request on and changes the body of the answer. Its headers,
// the digest among them, stay as the registry sent them.
func Alter(change func(body []byte) []byte) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		body := change(rec.Body.Bytes())
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		_, _ = io.Copy(w, bytes.NewReader(body))
	}
}

func answer(w http.ResponseWriter, status int, contentType string, body []byte, headers []string) {
	w.Header().Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		w.Header().Set(headers[i], headers[i+1])
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// reset ends the connection so that the client's kernel reports a reset.
func reset(w http.ResponseWriter) {
	if rec, ok := w.(*recorder); ok {
		rec.reset = true
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// cutter ends the answer after some bytes of its body.
type cutter struct {
	http.ResponseWriter
	left int
}

var errCut = errors.New("cut off by the fault proxy")

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	n, err := c.ResponseWriter.Write(p[:c.left])
	c.left = 0
	if err == nil {
		err = errors.Join(errCut, http.NewResponseController(c.ResponseWriter).Flush())
	}
	return n, err // the reverse proxy then aborts the answer
}
