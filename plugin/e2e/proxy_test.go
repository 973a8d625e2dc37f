package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/docker-kasm/docker-kasm/plugin/e2e/faultproxy"
)

// proxyVariable has the address of a script's proxy, and is the key it is kept by.
const proxyVariable = "PROXY"

// startProxy puts a proxy in front of a registry and its address into $PROXY:
// `proxy REGISTRY`.
func startProxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: proxy REGISTRY")
	}
	proxy := faultproxy.New(args[0])
	server := httptest.NewServer(proxy)
	ts.Defer(server.Close)
	ts.Setenv(proxyVariable, strings.TrimPrefix(server.URL, "http://"))
	*proxyOf(ts) = proxy
}

// proxyOf returns where the script keeps its proxy; setup has made room for it.
func proxyOf(ts *testscript.TestScript) **faultproxy.Proxy {
	return ts.Value(proxyVariable).(**faultproxy.Proxy)
}

// fault makes the proxy fail requests: `fault [skip=N] [times=N] METHOD PATH
// ACTION`, where PATH is an expression and ACTION a status, 429=DURATION,
// forbidden (403 by no registry), reset, truncate=N or alter; or `fault clear`.
func fault(ts *testscript.TestScript, neg bool, args []string) {
	proxy := *proxyOf(ts)
	if neg || proxy == nil || len(args) == 0 {
		ts.Fatalf("usage, after proxy: fault clear | [skip=N] [times=N] METHOD PATH ACTION")
	}
	if args[0] == "clear" {
		proxy.Clear()
		return
	}
	var rule faultproxy.Rule
	for ; len(args) > 3; args = args[1:] {
		key, value, _ := strings.Cut(args[0], "=")
		n, err := strconv.Atoi(value)
		ts.Check(err)
		switch key {
		case "skip":
			rule.Skip = n
		case "times":
			rule.Times = n
		default:
			ts.Fatalf("fault: what is %q?", args[0])
		}
	}
	path, err := regexp.Compile(args[1])
	ts.Check(err)
	rule.Method, rule.Path = args[0], path
	if rule.Action, err = action(args[2]); err != nil {
		ts.Fatalf("fault: %v", err)
	}
	proxy.Inject(rule)
}

func action(s string) (faultproxy.Action, error) {
	name, value, _ := strings.Cut(s, "=")
	switch name {
	case "401":
		return faultproxy.Unauthorized(), nil
	case "403":
		return faultproxy.Error(http.StatusForbidden, "DENIED", "requested access to the resource is denied"), nil
	case "forbidden":
		return faultproxy.Status(http.StatusForbidden, "<html>forbidden</html>"), nil
	case "404":
		return faultproxy.Error(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry"), nil
	case "429":
		after, err := time.ParseDuration(value)
		return faultproxy.TooManyRequests(after), err
	case "500":
		return faultproxy.Error(http.StatusInternalServerError, "UNKNOWN", "unknown error"), nil
	case "503":
		return faultproxy.Status(http.StatusServiceUnavailable, "<html>no server</html>"), nil
	case "reset":
		return faultproxy.Reset(), nil
	case "truncate":
		n, err := strconv.Atoi(value)
		return faultproxy.Truncate(n), err
	case "alter":
		return faultproxy.Alter(func(body []byte) []byte { return append(body, ' ') }), nil
	}
	return nil, fmt.Errorf("unknown action %q", s)
}

// requests writes what the proxy has answered to a file, a line each: `requests
// FILE`.
func requests(ts *testscript.TestScript, neg bool, args []string) {
	proxy := *proxyOf(ts)
	if neg || proxy == nil || len(args) != 1 {
		ts.Fatalf("usage, after proxy: requests FILE")
	}
	var text strings.Builder
	for _, r := range proxy.Requests() {
		fmt.Fprintf(&text, "%s %s %d\n", r.Method, r.Path, r.Status)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}

// proxied puts a proxy in front of a registry, and returns its address.
func proxied(t *testing.T, registry string) (*faultproxy.Proxy, string) {
	t.Helper()
	proxy := faultproxy.New(registry)
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return proxy, strings.TrimPrefix(server.URL, "http://")
}
