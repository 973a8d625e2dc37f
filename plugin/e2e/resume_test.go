package e2e

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/docker-kasm/docker-kasm/plugin/e2e/faultproxy"
)

// TestInterruptedPush ends a push while a layer is sent, by a signal that can
// be answered and by one that can not: the image stays, a record says what was
// under way, and it can be resumed.
func TestInterruptedPush(t *testing.T) {
	s := newSuite(t)
	registry := os.Getenv("KASM_TEST_OPEN_REGISTRY")
	if registry == "" {
		t.Skip("no registry to push to: run `make test`")
	}
	t.Cleanup(func() { cleanUp("e2epushed") })
	proxy := faultproxy.New(registry)
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	name := "e2epushed.work"
	s.docker(t, append(append([]string{"run", "-d"}, managed(name)...), baseImage)...)
	for _, c := range []struct {
		tag, reason string
		signal      os.Signal
		registered  bool
	}{
		{"interrupted", "interrupted", syscall.SIGINT, true},
		{"killed", "under way, or ended before it was done", syscall.SIGKILL, false},
	} {
		t.Run(c.tag, func(t *testing.T) {
			s.docker(t, "exec", name, "sh", "-c", "date >/mine; echo "+c.tag+" >>/mine")
			ref := strings.TrimPrefix(server.URL, "http://") + "/e2epushed:" + c.tag
			u := s.user(t)
			release := make(chan struct{})
			fault := proxy.Inject(faultproxy.Rule{Method: http.MethodPost, Path: regexp.MustCompile("/blobs/uploads/"), Action: faultproxy.Hold(release)})
			cmd := command(s.plugin, "commit", "--push", "--progress", "plain", "--format", "{{.ImageID}} {{.Workspace}}", name, ref)
			cmd.Env = u.env
			go func() {
				<-fault.Hit()
				_ = cmd.Process.Signal(c.signal)
			}()
			out, err := cmd.CombinedOutput()
			close(release)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || c.registered && exit.ExitCode() != 130 {
				t.Fatalf("ended with %v: %s", err, out)
			}
			id := s.docker(t, "images", "-q", "--no-trunc", ref)
			workspace := ""
			if c.registered {
				workspace = "e2epushed-" + c.tag
				if !strings.Contains(string(out), id+" "+workspace) || !strings.Contains(string(out), "interrupted; the image is kept on the engine: `docker kasm push "+ref+"` tries again") {
					t.Errorf("says %s", out)
				}
			}
			waits, err := u.kasm("push", "--list", "--format", "{{.Image}} {{.ImageID}} {{.Workspace}}: {{.Reason}}")
			if want := ref + " " + id + " " + workspace + ": " + c.reason; err != nil || strings.TrimSpace(waits) != want {
				t.Errorf("the list has %q, %v; want %q", waits, err, want)
			}
			proxy.Clear()
			pushed, err := u.kasm("push", "--progress", "plain", "--format", "{{.Digest}} {{.Workspaces}}", ref)
			digest := regexp.MustCompile(`(?m)^(sha256:[0-9a-f]{64}) \[` + workspace + `\]$`).FindStringSubmatch(pushed)
			if err != nil || digest == nil {
				t.Fatalf("resumed with %q, %v", pushed, err)
			}
			if waits, err := u.kasm("push", "--list", "-q"); err != nil || waits != "" {
				t.Errorf("the list still has %q, %v", waits, err)
			}
			if c.registered {
				if got, err := u.kasm("workspace", "inspect", "--format", "{{.Snapshot.Digest}}", workspace); err != nil || strings.TrimSpace(got) != digest[1] {
					t.Errorf("registered is %q, %v; want %s", got, err, digest[1])
				}
			}
		})
	}
}
