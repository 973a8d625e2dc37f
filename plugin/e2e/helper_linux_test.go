package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/plugin/e2e/faultproxy"
)

// newHelper sets a helper up on the engine by a user's hand; what there was of one
// is gone, and so is this one after the test.
func (s suite) newHelper(t *testing.T, options ...string) user {
	t.Helper()
	u := s.user(t)
	removeHelper()
	t.Cleanup(removeHelper)
	u.must(t, append([]string{"helper", "install"}, options...)...)
	return u
}

// must is kasm that has to succeed.
func (u user) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := u.kasm(args...)
	if err != nil {
		t.Fatalf("docker kasm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// begin begins a snapshot in the background and returns its task.
func (u user) begin(t *testing.T, args ...string) string {
	t.Helper()
	out := u.must(t, append([]string{"commit", "--detach"}, args...)...)
	id := regexp.MustCompile(`(?m)^[0-9a-f]{12}$`).FindString(out)
	if id == "" {
		t.Fatalf("no task: %s", out)
	}
	return id
}

// logIn puts a password for a registry where the CLI finds it.
func (u user) logIn(t *testing.T, host, name, password string) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
	data, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(u.config, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// helperProcesses are those in the helper's container, by their command.
func (s suite) helperProcesses(t *testing.T) map[int]string {
	t.Helper()
	mark := []byte("/containers/" + s.docker(t, "inspect", "-f", "{{.Id}}", dial.Volume) + "/")
	found := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		// Its namespace has the container's own files mounted.
		mounts, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
		if err != nil || !bytes.Contains(mounts, mark) {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !bytes.Contains(cmdline, []byte(dial.Binary)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			found[pid] = strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// dials are the processes by which clients reach the helper.
func (s suite) dials(t *testing.T) []int {
	t.Helper()
	var pids []int
	for pid, command := range s.helperProcesses(t) {
		if strings.HasSuffix(command, "dial-stdio") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// noDials wants all connections to the helper to come to their end.
func (s suite) noDials(t *testing.T) {
	t.Helper()
	var left []int
	for end := time.Now().Add(awaited); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if left = s.dials(t); len(left) == 0 {
			return
		}
	}
	t.Errorf("processes of connections to the helper are left: %v", left)
}

// client speaks to the helper of the engine that DOCKER_HOST names.
func helperClient(t *testing.T, api *client.Client) *helperapi.Client {
	t.Helper()
	way, err := dial.Find(t.Context(), api, api.DaemonHost())
	if err != nil {
		t.Fatal(err)
	}
	c := helperapi.NewClient(way.Dial, "e2e", "test")
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// finish waits for the end of a task, and returns its log.
func (u user) finish(t *testing.T, id, state string) string {
	t.Helper()
	log := u.must(t, "task", "logs", "-f", id)
	if got := u.must(t, "task", "inspect", "--format", "{{.State}}", id); got != state {
		t.Fatalf("task %s is %s, not %s:\n%s", id, got, state, log)
	}
	return log
}

// forms are how a secret may be found in text: as it is, and in base64 wherever
// in a text it begins.
func forms(secret string) []string {
	list := []string{secret}
	for offset := range 3 {
		// The first and the last digits depend on what is around.
		text := strings.Repeat("x", offset) + secret
		code := base64.RawURLEncoding.EncodeToString([]byte(text))
		list = append(list, code[(offset*8+5)/6:len(text)*8/6])
		standard := base64.RawStdEncoding.EncodeToString([]byte(text))
		list = append(list, standard[(offset*8+5)/6:len(text)*8/6])
	}
	return list
}

func TestFormsOfASecretAreFound(t *testing.T) {
	const secret = "s3cret-pw?>"
	for _, text := range []string{secret, "u:" + secret, `{"password":"` + secret + `"}`, "a" + secret + "b", "ab" + secret + "cd"} {
		for name, code := range map[string]string{
			"text": text, "base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64url": base64.URLEncoding.EncodeToString([]byte(text)),
		} {
			if !holds([]byte(code), forms(secret)) {
				t.Errorf("%s of %q: not found in %s", name, text, code)
			}
		}
	}
	if holds([]byte("something else altogether"), forms(secret)) {
		t.Error("found where it is not")
	}
}

func holds(data []byte, forms []string) bool {
	for _, form := range forms {
		if bytes.Contains(data, []byte(form)) {
			return true
		}
	}
	return false
}

// TestHelperSecrets looks for the password of a push everywhere that the helper
// leaves something.
func TestHelperSecrets(t *testing.T) {
	s := newSuite(t)
	upstream, name, password := os.Getenv("KASM_TEST_REGISTRY"), os.Getenv("KASM_REGISTRY_USER"), os.Getenv("KASM_REGISTRY_PASSWORD")
	if upstream == "" || password == "" {
		t.Skip("no registry with a password: run `make test`")
	}
	t.Cleanup(func() { cleanUp("e2esecrets") })
	u := s.newHelper(t, "--log-level", "debug")
	proxy, host := proxied(t, upstream)
	const session = "e2esecrets.work"
	u.must(t, "workspace", "create", "--image", baseImage, "secrets")
	u.must(t, "run", "--name", session, "secrets")

	u.logIn(t, host, name, "not-"+password)
	refused := u.begin(t, "--push", session, host+"/e2esecrets:refused")
	u.finish(t, refused, "failed")
	u.logIn(t, host, name, password)
	release := make(chan struct{})
	held := proxy.Inject(faultproxy.Rule{Method: "PUT", Path: regexp.MustCompile("/manifests/"), Action: faultproxy.Hold(release)})
	id := u.begin(t, "--push", session, host+"/e2esecrets:v1")
	follow := command("docker", "kasm", "task", "logs", "-f", id)
	follow.Env = u.env
	var log bytes.Buffer
	follow.Stdout, follow.Stderr = &log, &log
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-held.Hit():
	case <-time.After(awaited):
		t.Fatalf("the push does not come to its manifest: %s", log.String())
	}
	// All that is there while the helper has the password.
	searched := s.traces(t, u, id, true)
	close(release)
	if err := follow.Wait(); err != nil {
		t.Fatalf("follow the log: %v\n%s", err, log.String())
	}
	u.finish(t, id, "done")
	searched = append(searched, trace{"the followed log", log.Bytes(), "begins"})
	searched = append(searched, s.traces(t, u, id, false)...)
	searched = append(searched, s.traces(t, u, refused, false)...)
	for _, tr := range searched {
		if holds(tr.data, forms(password)) {
			t.Errorf("the password is in %s", tr.where)
		}
		if !bytes.Contains(tr.data, []byte(tr.known)) {
			t.Errorf("%s does not have %q, so that it was not searched: %.500s", tr.where, tr.known, tr.data)
		}
	}
	if control := s.docker(t, "exec", session, "sh", "-c", "echo $0", "user:"+password); !holds([]byte(control), forms(password)) {
		t.Errorf("the password is not found where it is: %s", control)
	}
	s.noDials(t)
}

// trace is something that the helper leaves or shows, and a text that is known
// to be in it.
type trace struct {
	where string
	data  []byte
	known string
}

// traces are those of a task.
func (s suite) traces(t *testing.T, u user, id string, connected bool) []trace {
	t.Helper()
	list := []trace{
		// An archive, not compressed: each file is in it as it is.
		{"the helper's volume", []byte(s.docker(t, "cp", dial.Volume+":/var/lib/docker-kasm", "-")), id + ".json"},
		{"the helper's log", []byte(u.must(t, "helper", "logs")), "level=DEBUG"},
		{"its container", []byte(s.docker(t, "inspect", dial.Volume)), dial.LabelKind},
		{"task inspect", []byte(u.must(t, "task", "inspect", id)), id},
		{"task ls", []byte(u.must(t, "task", "ls", "-a", "--no-trunc", "--format", "json")), id},
		{"task logs", []byte(u.must(t, "task", "logs", id)), "begins"},
		{"status", []byte(u.must(t, "helper", "status", "--format", "json")), "Kind"},
		{"metrics", s.scrape(t), "kasm_"},
	}
	processes := s.helperProcesses(t)
	if len(processes) < 1 || connected && len(s.dials(t)) == 0 {
		t.Errorf("the processes of the helper are not found: %v", processes)
	}
	for pid, command := range processes {
		for _, file := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // its connection has just ended
			}
			if err != nil {
				t.Error(err)
			}
			known := map[string]string{"cmdline": dial.Binary, "environ": "PATH="}[file]
			if len(data) > 0 {
				list = append(list, trace{file + " of " + command, data, known})
			}
		}
	}
	return list
}

// scrape asks the helper for its metrics by hand, as there is nothing else in its
// image that could.
func (s suite) scrape(t *testing.T) []byte {
	t.Helper()
	cmd := command("docker", "exec", "-i", dial.Volume, "/"+dial.Binary, "dial-stdio")
	cmd.Stdin = strings.NewReader("GET /metrics HTTP/1.1\r\nHost: helper\r\nConnection: close\r\n\r\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scrape the helper: %v", err)
	}
	head, _, _ := bytes.Cut(out, []byte("\r\n"))
	if !bytes.Equal(head, []byte("HTTP/1.1 200 OK")) {
		t.Fatalf("scrape the helper: %s", out)
	}
	return out
}
