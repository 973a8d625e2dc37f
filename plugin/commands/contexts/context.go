package contexts

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"
)

// Context is the docker CLI as it is in one of its contexts.
type Context struct {
	command.Cli
	Name     string
	endpoint docker.Endpoint
	api      *client.Client
	lines    *lines
	// err says why it cannot be used; api is nil then.
	err  error
	info command.ServerInfo
	// answered is set once the engine has answered.
	answered bool
}

// Name is the name of the context that a command was told to work in, "" for the
// current one, which it was not told.
func Name(dockerCLI command.Cli) string {
	if c, ok := dockerCLI.(*Context); ok {
		return c.Name
	}
	return ""
}

// Label names something of an engine for people: with the context, if the command
// was told one.
func Label(dockerCLI command.Cli, what string) string {
	if name := Name(dockerCLI); name != "" {
		return name + "/" + what
	}
	return what
}

// Client is that of the context's engine.
func (c *Context) Client() client.APIClient { return c.api }

// CurrentContext is the context's name.
func (c *Context) CurrentContext() string { return c.Name }

// DockerEndpoint is where the context finds its engine.
func (c *Context) DockerEndpoint() docker.Endpoint { return c.endpoint }

// CurrentVersion is the version of the API that is spoken with the engine.
func (c *Context) CurrentVersion() string { return c.api.ClientVersion() }

// ServerInfo is what the engine told of itself.
func (c *Context) ServerInfo() command.ServerInfo { return c.info }

// open makes a client as the docker CLI does for its current context, but without
// ending the program if that fails, nor waiting for the engine.
func open(dockerCLI command.Cli, e entry, headers map[string]string) *Context {
	c := &Context{Cli: dockerCLI, Name: e.name, err: e.err, lines: &lines{}}
	if c.err == nil {
		c.endpoint, c.err = endpoint(dockerCLI.ContextStore(), e.name)
	}
	if c.err == nil {
		c.api, c.err = c.newClient(headers)
	}
	return c
}

func endpoint(contexts store.Reader, name string) (docker.Endpoint, error) {
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		// It begins with the name, which is told anyway.
		if cause := errors.Unwrap(err); cause != nil && strings.HasPrefix(err.Error(), fmt.Sprintf("context %q: ", name)) {
			err = cause
		}
		return docker.Endpoint{}, err
	}
	where, err := docker.EndpointFromContext(meta)
	if err != nil {
		return docker.Endpoint{}, err
	}
	return docker.WithTLSData(contexts, name, where)
}

func (c *Context) newClient(headers map[string]string) (*client.Client, error) {
	options, err := c.endpoint.ClientOpts()
	if err != nil {
		return nil, err
	}
	way, err := connhelper.GetConnectionHelper(c.endpoint.Host)
	if err != nil {
		return nil, err
	}
	if way != nil {
		c.lines.dial = way.Dialer
		options = append(options,
			client.WithHTTPClient(&http.Client{Transport: &http.Transport{DialContext: c.lines.Dial}}),
			client.WithHost(way.Host), client.WithDialContext(c.lines.Dial))
	}
	if len(headers) > 0 {
		options = append(options, client.WithHTTPHeaders(headers))
	}
	return client.NewClientWithOpts(append(options, client.WithUserAgent(command.UserAgent()))...)
}

func (c *Context) close() {
	if c.api != nil {
		_ = c.api.Close()
	}
	c.lines.Close()
}

// lines are the connections that are processes, such as ssh. What is under way when
// a context takes too long, or the user has had enough, would leave them behind.
type lines struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	open   []net.Conn
}

// Dial starts a process. None that has been started is missed by Close.
func (l *lines) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, net.ErrClosed
	}
	conn, err := l.dial(ctx, network, addr)
	if err == nil {
		l.open = append(l.open, conn)
	}
	return conn, err
}

// Close ends all connections, and those to come.
func (l *lines) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.drop()
}

// drop ends all connections there are.
func (l *lines) drop() {
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close() // it may have ended by itself
	}
}

// customHeaders are those that the user's configuration adds to every request, or
// those of DOCKER_CUSTOM_HEADERS, which come in their place, as the docker CLI has
// it: KEY=VALUE, separated by commas and quoted as in CSV.
func customHeaders(configured map[string]string) (map[string]string, error) {
	const variable = "DOCKER_CUSTOM_HEADERS"
	value := os.Getenv(variable)
	if value == "" {
		return configured, nil
	}
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return nil, fmt.Errorf("read %s: it has to be KEY=VALUE, separated by commas: %w", variable, err)
	}
	headers := map[string]string{}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if key = strings.TrimSpace(key); key == "" || !ok {
			return nil, fmt.Errorf("read %s: %q is not KEY=VALUE", variable, field)
		}
		headers[http.CanonicalHeaderKey(key)] = value
	}
	return headers, nil
}
