package push

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The texts are those of engines 20.10 (overlay2), 29 (overlay2) and 29
// (containerd store) whose registry answered so; ports and digests are shortened.
func TestTemporary(t *testing.T) {
	for _, c := range []struct {
		text  string
		again bool
		after time.Duration
	}{
		// 429
		{"toomanyrequests: retry-after: 1.5s, allowed: 44000/minute", true, 1500 * time.Millisecond},
		{"toomanyrequests: You have reached your pull rate limit.", true, 0},
		{`error parsing HTTP 429 response body: invalid character '<' looking for beginning of value: "<html>slow down</html>"`, true, 0},
		// 5xx
		{"received unexpected HTTP status: 500 Internal Server Error", true, 0},
		{"received unexpected HTTP status: 503 Service Unavailable", true, 0},
		{"error from registry: unknown", true, 0},
		{"error from registry: unknown error", true, 0},
		{"unknown: unexpected status from POST request to http://127.0.0.1:1/v2/x/blobs/uploads/?mount=sha256:63&from=y: 503 Service Unavailable", true, 0},
		{`unknown: failed commit on ref "layer-sha256:21": unexpected status from PUT request to http://127.0.0.1:1/v2/x/blobs/uploads/59?_state=Av&digest=sha256%3A21: 502 Bad Gateway`, true, 0},
		{"received unexpected HTTP status: 501 Not Implemented", false, 0},
		{"received unexpected HTTP status: 507 Insufficient Storage", false, 0},
		// the connection
		{`Put "http://127.0.0.1:1/v2/x/manifests/v1": read tcp 127.0.0.1:2->127.0.0.1:1: read: connection reset by peer`, true, 0},
		{`failed to do request: Head "https://127.0.0.1:1/v2/x/manifests/v1": read tcp 127.0.0.1:2->127.0.0.1:1: read: connection reset by peer`, true, 0},
		{`failed to do request: Put "http://127.0.0.1:1/v2/x": write: broken pipe`, true, 0},
		{`failed commit on ref "manifest-sha256:db": failed to do request: Put "https://127.0.0.1:1/v2/x/manifests/v1": readfrom tcp 127.0.0.1:2->127.0.0.1:1: write tcp 127.0.0.1:2->127.0.0.1:1: use of closed network connection`, true, 0},
		{`Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused`, true, 0},
		{`Get "http://127.0.0.1:1/v2/": EOF`, true, 0},
		{`Get "https://reg.example/v2/": net/http: TLS handshake timeout`, true, 0},
		{`Get "https://reg.example/v2/": dial tcp: lookup reg.example: no such host`, false, 0},
		{`Get "https://reg.example/v2/": dial tcp 10.0.0.1:443: i/o timeout`, true, 0},
		{`Get "https://reg.example/v2/": x509: certificate signed by unknown authority`, false, 0},
		// refusals
		{"no basic auth credentials", false, 0},
		{"unauthorized", false, 0},
		{"unauthorized: authentication required", false, 0},
		{"push access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials", false, 0},
		{`failed commit on ref "manifest-sha256:06": authorization failed: no basic auth credentials`, false, 0},
		{"denied", false, 0},
		{"denied: <html>forbidden</html>", false, 0},
		{"error from registry: denied", false, 0},
		{`error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: "<html>forbidden</html>"`, false, 0},
		{`error parsing HTTP 413 response body: invalid character '<' looking for beginning of value: "<html>too large</html>"`, false, 0},
		{"unknown: <html>too large</html>", false, 0},
		{"unknown: unexpected status from POST request to http://127.0.0.1:1/v2/x/blobs/uploads/: 403 Forbidden", false, 0},
		{"unknown: unexpected status from POST request to http://127.0.0.1:1/v2/x/blobs/uploads/: 413 Request Entity Too Large", false, 0},
		{"name unknown", false, 0},
		{"error from registry: repository name not known to registry", false, 0},
		{"unsupported", false, 0},
		{"error from registry: unsupported", false, 0},
		// what is not known is not tried again
		{"something else", false, 0},
		// words in names are no answers
		{`Put "http://reg.example/v2/denied/x": read: connection reset by peer`, true, 0},
		{`Put "http://reg.example/v2/timeout/503/x": something else`, false, 0},
	} {
		after, again := temporary(errors.New(c.text))
		if again != c.again || after != c.after {
			t.Errorf("%s: got %v after %s, want %v after %s", c.text, again, after, c.again, c.after)
		}
	}
}

func TestReasonHoldsNoSecrets(t *testing.T) {
	err := fmt.Errorf(`Put "https://me:hunter2@store.example/x/y?X-Amz-Signature=hunter2": EOF` + "\n" + `and http://a/b?token=hunter2: 503`)
	want := `Put "https://store.example/x/y": EOF and http://a/b: 503`
	if got := Reason(err); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Reason(errors.New(strings.Repeat("é", 1000))); len([]rune(got)) != maxReason {
		t.Errorf("%d characters are kept", len([]rune(got)))
	}
}
