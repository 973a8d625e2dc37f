package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
)

// The texts are those of engines 20.10 (overlay2), 29 (overlay2) and 29
// (containerd store) whose registry answered so; ports and digests are shortened.
func TestTooManyRequests(t *testing.T) {
	for _, c := range []struct {
		text string
		is   bool
		wait time.Duration
	}{
		{"toomanyrequests: retry-after: 1.5s, allowed: 44000/minute", true, 1500 * time.Millisecond},
		{"error from registry: retry-after: 1.5s, allowed: 44000/minute", true, 1500 * time.Millisecond},
		{"toomanyrequests: retry-after: 269.443µs, allowed: 44000/minute", true, 269443 * time.Nanosecond},
		{"toomanyrequests: retry-after: 30", true, 30 * time.Second},
		{"429 Too Many Requests (Retry-After: 120)", true, 2 * time.Minute},
		{"toomanyrequests: please retry after 1m30s", true, 90 * time.Second},
		{"toomanyrequests: retry-after: 99h", true, LongestWait},
		{"toomanyrequests: retry-after: 9999999h", true, LongestWait},
		{"toomanyrequests: retry-after: 99999999999999", true, LongestWait},
		{"toomanyrequests: retry-after: 1e99", true, time.Second},
		{"toomanyrequests: You have reached your pull rate limit.", true, 0},
		{"toomanyrequests: access denied until later", true, 0},
		{"toomanyrequests: ", true, 0},
		{"toomanyrequests: <html>slow down</html>", true, 0},
		{`error parsing HTTP 429 response body: invalid character '<' looking for beginning of value: "<html>slow down</html>"`, true, 0},
		{"unknown: unexpected status from HEAD request to http://127.0.0.1:1/v2/x/manifests/v1: 429 Too Many Requests", true, 0},
		{`unknown: failed commit on ref "manifest-sha256:a7": unexpected status from PUT request to http://127.0.0.1:1/v2/x/manifests/v1: 429 Too Many Requests`, true, 0},
		// A status is surer than words.
		{"received unexpected HTTP status: 503 Service Unavailable, retry-after: 30", false, 0},
		// Words in names are no answers.
		{`Get "https://reg.example/v2/ratelimit/": connection refused`, false, 0},
		{"Get https://reg.example/retry-after:5 refused", false, 0},
		{"manifest unknown", false, 0},
	} {
		if wait, is := TooManyRequests(errors.New(c.text)); is != c.is || wait != c.wait {
			t.Errorf("%s: got %t, %s; want %t, %s", c.text, is, wait, c.is, c.wait)
		}
	}
	for _, err := range []error{nil, fmt.Errorf("docker.io/x/ratelimit: %w", cerrdefs.ErrNotFound)} {
		if _, is := TooManyRequests(err); is {
			t.Errorf("%v was taken for a refusal", err)
		}
	}
}
