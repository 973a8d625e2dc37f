package helperapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/mod/semver"
)

// maxAnswer bounds an answer that is kept in memory, in bytes.
const maxAnswer = 256 << 20

// patience bounds every request but those of streams.
const patience = time.Minute

// Client speaks to a helper. All its requests go over one connection.
type Client struct {
	http    http.Client
	user    string
	version string
	// Older is told once, after the first answer, if the helper is of an older
	// version than this client; nil tells nobody.
	Older func(version string)
	told  sync.Once

	mu   sync.Mutex
	open []io.Closer
}

// Dial makes a connection to a helper; each call makes a new one.
type Dial func(ctx context.Context) (net.Conn, error)

// NewClient returns a client that reaches its helper by dial. user and version
// are what it says of itself, in words for people.
func NewClient(dial Dial, user, version string) *Client {
	c := &Client{user: user, version: version}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	c.http.Transport = &http.Transport{
		Protocols: &protocols,
		// A connection that has died without a word, as after a sleep, is noticed.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		// The first requests would else make a connection each.
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.open = append(c.open, conn)
			return conn, nil
		},
	}
	return c
}

// Close ends the client's connection, and the helper's process at its far end.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, conn := range c.open {
		if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	c.open = nil
	return errors.Join(errs...)
}

// request is one call of the API.
type request struct {
	method, path string
	// body is sent as JSON, or as it is if it is a []byte of contentType.
	body        any
	contentType string
	header      http.Header
}

// do sends a request and returns the answer if it is no error; the caller closes
// its body. An error that the helper answered with is a *Problem.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("ask the helper: %w", err)
		}
		body, r.contentType = bytes.NewReader(data), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, "http://kasm-helper"+r.path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the helper: %w", err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	req.Header.Set(HeaderUser, c.user)
	req.Header.Set(HeaderVersion, c.version)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the helper: %w", cause(err))
	}
	c.told.Do(func() {
		if theirs := resp.Header.Get(HeaderVersion); c.Older != nil && older(theirs, c.version) {
			c.Older(theirs)
		}
	})
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, problem(resp)
}

// older compares versions such as v1.2.3; others, such as "dev", are none.
func older(theirs, ours string) bool {
	return semver.IsValid(theirs) && semver.IsValid(ours) && semver.Compare(theirs, ours) < 0
}

// cause is an error without the method and the address that net/http puts before
// it, which mean nothing to a user here.
func cause(err error) error {
	var wrapped interface{ Unwrap() error }
	if errors.As(err, &wrapped) && wrapped.Unwrap() != nil {
		return wrapped.Unwrap()
	}
	return err
}

func problem(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	data, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("read the helper's answer: %w", err)
	}
	p := &Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	if kind == TypeProblem {
		if err := json.Unmarshal(data, p); err != nil {
			return fmt.Errorf("read the helper's answer: %w", err)
		}
	}
	return p
}

// call sends a request whose answer is of no interest.
func (c *Client) call(ctx context.Context, r request) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// get decodes the answer to a GET.
func get[T any](ctx context.Context, c *Client, path string) (out T, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := c.do(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	return out, decode(resp.Body, &out)
}

func decode(body io.Reader, out any) error {
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the helper's answer: %w", err)
	}
	return nil
}

// Version asks which helper answers.
func (c *Client) Version(ctx context.Context) (VersionInfo, error) {
	return get[VersionInfo](ctx, c, "/"+Version+"/version")
}

// Status asks how the helper is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/"+Version+"/status")
}

// Ready tells whether the helper answers and reaches its engine.
func (c *Client) Ready(ctx context.Context) error {
	return c.call(ctx, request{method: http.MethodGet, path: "/readyz"})
}
