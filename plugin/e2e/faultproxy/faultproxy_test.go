package faultproxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T) (*Proxy, string) {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "http://"+r.Host+"/next")
		_, _ = io.WriteString(w, "0123456789")
	}))
	t.Cleanup(upstream.Close)
	proxy := New(upstream.URL)
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return proxy, server.URL
}

func do(t *testing.T, method, url, body string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	// A client that repeats a request by itself would hide the fault.
	req.GetBody = nil
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp, string(data), err
}

func TestOtherRequestsPass(t *testing.T) {
	proxy, url := start(t)
	proxy.Inject(Rule{Method: http.MethodPut, Action: Unauthorized()})
	proxy.Inject(Rule{Path: regexp.MustCompile("^/other$"), Action: Unauthorized()})
	resp, body, err := do(t, http.MethodPost, url+"/v2/", "four")
	if err != nil || resp.StatusCode != http.StatusOK || body != "0123456789" || resp.Header.Get("Location") != url+"/next" {
		t.Fatalf("%v %q %v", resp, body, err)
	}
	want := Request{Method: http.MethodPost, Path: "/v2/", Status: http.StatusOK, Received: 4}
	if got := proxy.Requests(); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSkipAndTimesCountWhatIsLeftByEarlierRules(t *testing.T) {
	proxy, url := start(t)
	proxy.Inject(Rule{Skip: 1, Times: 2, Action: Error(http.StatusForbidden, "DENIED", "no")})
	late := proxy.Inject(Rule{Skip: 1, Times: 1, Action: TooManyRequests(1500 * time.Millisecond)})
	for i, want := range []int{200, 403, 403, 429, 200} {
		select {
		case <-late.Hit():
			if i <= 3 {
				t.Errorf("request %d: the second rule was hit too early", i)
			}
		default:
		}
		resp, body, err := do(t, http.MethodGet, url, "")
		if err != nil || resp.StatusCode != want {
			t.Fatalf("request %d: %v, %v; want %d", i, resp, err, want)
		}
		if want == 429 && (resp.Header.Get("Retry-After") != "2" || !strings.Contains(body, `"retry-after: 1.5s, allowed`)) {
			t.Errorf("429 with %q and %s", resp.Header.Get("Retry-After"), body)
		}
	}
	<-late.Hit()
	proxy.Clear()
	if resp, _, err := do(t, http.MethodGet, url, ""); err != nil || resp.StatusCode != 200 || len(proxy.Requests()) != 1 {
		t.Errorf("after Clear: %v, %v, %v", resp, err, proxy.Requests())
	}
}

func TestConnectionsBreakAsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		action Action
		want   error
		body   string
	}{
		"reset":                   {Reset(), syscall.ECONNRESET, ""},
		"reset within the upload": {ResetAfter(3), syscall.ECONNRESET, ""},
		"truncated":               {Truncate(4), io.ErrUnexpectedEOF, "0123"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy, url := start(t)
			proxy.Inject(Rule{Action: c.action})
			_, body, err := do(t, http.MethodPost, url, "12345")
			if !errors.Is(err, c.want) || body != c.body {
				t.Errorf("got %q, %v; want %q, %v", body, err, c.body, c.want)
			}
		})
	}
}

func TestAnswersComeLate(t *testing.T) {
	release := make(chan struct{})
	proxy, url := start(t)
	fault := proxy.Inject(Rule{Times: 1, Action: Hold(release)})
	proxy.Inject(Rule{Action: Delay(time.Millisecond)})
	go func() {
		<-fault.Hit()
		close(release)
	}()
	for range 2 {
		if resp, body, err := do(t, http.MethodGet, url, ""); err != nil || resp.StatusCode != 200 || body != "0123456789" {
			t.Errorf("%v %q %v", resp, body, err)
		}
	}
}

func TestHoldEndsWithItsClient(t *testing.T) {
	proxy, url := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	fault := proxy.Inject(Rule{Action: Hold(nil)})
	go func() {
		<-fault.Hit()
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		_ = resp.Body.Close()
		t.Errorf("got %v", err)
	}
}

func TestAlterKeepsHeaders(t *testing.T) {
	proxy, url := start(t)
	proxy.Inject(Rule{Action: Alter(func(b []byte) []byte { return append(b, '!') })})
	resp, body, err := do(t, http.MethodGet, url, "")
	if err != nil || body != "0123456789!" || resp.ContentLength != 11 || resp.Header.Get("Location") == "" {
		t.Errorf("%v %q %v", resp, body, err)
	}
}
