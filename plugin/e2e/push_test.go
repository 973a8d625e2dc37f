package e2e

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
)

// refusing is a registry that is fine until something is written to it: it
// refuses uploads, which an engine reports inside a stream with status 200.
func refusing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/v2/":
		_, _ = w.Write([]byte("{}"))
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
	default:
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"the quota is used up"}]}`))
	}
}

// TestFailedPush wants a failed push to be a failure that loses nothing: image
// and workspace are there, and the error says how to go on.
func TestFailedPush(t *testing.T) {
	s := newSuite(t)
	registry := httptest.NewServer(http.HandlerFunc(refusing))
	defer registry.Close()
	t.Cleanup(func() { cleanUp("e2efailed") })
	name, ref := "e2efailed.work", strings.TrimPrefix(registry.URL, "http://")+"/e2efailed:v1"
	s.docker(t, append(append([]string{"run", "-d"}, managed(name)...), baseImage)...)
	s.docker(t, "exec", name, "sh", "-c", "echo unsaved > /work.txt")
	u := s.user(t)
	out, err := u.kasm("commit", "--push", name, ref)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, not status 1", err)
	}
	for _, want := range []string{"the quota is used up; ", "the image is kept on the engine: `docker kasm push " + ref + "` tries again", "Workspace:  e2efailed-v1", "Image ID:   sha256:"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if got := s.docker(t, "run", "--rm", ref, "cat", "/work.txt"); got != "unsaved" {
		t.Errorf("the image holds %q", got)
	}
	if list, err := u.kasm("workspace", "ls", "--format", "{{.Name}} {{.Availability}}"); err != nil || strings.TrimSpace(list) != "e2efailed-v1 available" {
		t.Errorf("the launcher has %q, %v", list, err)
	}
	if got := s.docker(t, "inspect", "-f", "{{.State.Status}}", name); got != "running" {
		t.Errorf("the session is %s", got)
	}
}
