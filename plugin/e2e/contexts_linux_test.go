package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// several are contexts of a user: far is the first engine by ssh, safe the second by
// TLS. The others do not work: mute says nothing and distant nothing by ssh, torn has
// a key that is none, stranger has no certificate, and default is nowhere.
type several struct {
	user
	first, second string
}

// TestContexts works on two engines at once, by ssh and by TLS, beside contexts that
// fail in several ways.
func TestContexts(t *testing.T) {
	second := os.Getenv("KASM_TEST_SECOND")
	if second == "" {
		t.Skip("no second engine: run `make test`, or set KASM_TEST_SECOND to where it is")
	}
	s := newSuite(t)
	first := s.host
	on := func(host string) suite {
		t.Setenv("DOCKER_HOST", host)
		return suite{plugin: s.plugin, helper: s.helper, host: host}
	}
	other := on(second)
	other.buildBase(t)
	t.Cleanup(func() {
		for _, host := range []string{first, second} {
			on(host)
			cleanUp("e2ectx")
		}
	})
	tls := overTLS(t, other)
	ssh := overSSH(t, on(first))
	c := several{user: s.user(t), first: first, second: second}
	mute := muteServer(t)
	c.env = append(c.env, ssh.env[1], "DOCKER_HOST=unix:///nowhere/docker.sock")
	certified := "ca=" + tls.certificates + "/ca.pem,cert=" + tls.certificates + "/cert.pem,key=" + tls.certificates + "/key.pem"
	for name, endpoint := range map[string]string{
		"far": "host=" + ssh.host, "safe": "host=" + tls.host + "," + certified, "torn": "host=" + tls.host + "," + certified,
		"stranger": "host=" + tls.host + ",ca=" + tls.certificates + "/ca.pem",
		"mute":     "host=tcp://" + mute, "distant": "host=ssh://me@" + mute,
	} {
		c.docker(t, "context", "create", name, "--docker", endpoint)
	}
	tear(t, c.config)
	c.session(t, first, "e2ectx.a")
	c.session(t, first, "e2ectx.both")
	c.session(t, second, "e2ectx.b")
	c.session(t, second, "e2ectx.both")

	t.Run("list", c.list)
	t.Run("watch", c.watch)
	t.Run("find", c.find)
	t.Run("delete", c.delete)
	t.Run("workspaces", c.workspaces)
	t.Run("interrupt", c.interrupt)
	c.noConnections(t)
}

// result is what came of a command.
type result struct {
	out, err string
	code     int
}

// run gives each context all the time it needs, unless told otherwise.
func (c several) run(t *testing.T, args ...string) result {
	t.Helper()
	if !slices.Contains(args, "--context-timeout") {
		args = append(slices.Clip(args), "--context-timeout", awaited.String())
	}
	cmd := command("docker", append([]string{"kasm"}, args...)...)
	cmd.Env = c.env
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("docker kasm %s: %v", strings.Join(args, " "), err)
	}
	return result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// want runs a command that is to end with a status and outputs, which are patterns.
func (c several) want(t *testing.T, code int, out, stderr string, args ...string) {
	t.Helper()
	r := c.run(t, args...)
	for _, got := range [][2]string{{r.out, out}, {r.err, stderr}} {
		if !regexp.MustCompile("^(?s:" + got[1] + ")$").MatchString(got[0]) {
			t.Errorf("docker kasm %s: got\n%s\ninstead of\n%s", strings.Join(args, " "), got[0], got[1])
		}
	}
	if r.code != code {
		t.Errorf("docker kasm %s ended with %d, not %d", strings.Join(args, " "), r.code, code)
	}
}

func (c several) docker(t *testing.T, args ...string) string {
	t.Helper()
	cmd := command("docker", args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c several) session(t *testing.T, host, name string) {
	t.Helper()
	c.docker(t, append(append([]string{"-H", host, "run", "-d"}, managed(name)...), baseImage)...)
}

// state is that of a container, "" if there is none.
func (c several) state(t *testing.T, host, name string) string {
	t.Helper()
	return c.docker(t, "-H", host, "ps", "-a", "--filter", "name=^"+name+"$", "--format", "{{.State}}")
}

func (c several) list(t *testing.T) {
	// Two of them use the time up.
	r := c.run(t, "ls", "--all-contexts", "--context-timeout", "20s", "--filter", "name=e2ectx")
	want := `CONTEXT  CONTAINER ID  NAME  WORKSPACE  IMAGE  STATE  CREATED  ADDRESS
default  error: Cannot connect to the Docker daem…ker.sock. Is the docker daemon running?
distant  error: no answer within DURATION
far  ID  e2ectx.both  states  kasm-e2e-base:latest  running  AGO
far  ID  e2ectx.a  states  kasm-e2e-base:latest  running  AGO
mute  error: no answer within DURATION
safe  ID  e2ectx.both  states  kasm-e2e-base:latest  running  AGO
safe  ID  e2ectx.b  states  kasm-e2e-base:latest  running  AGO
stranger  error: remote error: tls: certificate required
torn  error: no valid private key found
`
	// Those of one second come in any order.
	if got := mask(r.out); sortedLines(got) != sortedLines(want) || columns(r.out) != 1 {
		t.Errorf("got\n%s", r.out)
	}
	if want := "context \"default\": Cannot connect to the Docker daemon at unix:///nowhere/docker.sock. Is the docker daemon running?\n"; r.code != 1 || r.err != want {
		t.Errorf("it ended with %d: %s", r.code, r.err)
	}
	c.noConnections(t)
	c.want(t, 0, `far/e2ectx.a\nsafe/e2ectx.b\n`, "", "ps", "--contexts", "safe,far", "--filter", "name=e2ectx.[ab]$", "--format", "{{.Context}}/{{.Name}}")
	c.want(t, 1, `[0-9a-f]{12}\n`, "context \"torn\": .*no valid private key found\n", "ls", "--contexts", "safe,torn", "--filter", "name=e2ectx.b$", "-q")
	r = c.run(t, "ls", "--contexts", "far,torn,safe", "--filter", "name=e2ectx.[ab]$", "--format", "json")
	var objects []string
	for line := range strings.Lines(r.out) {
		var o struct{ Context, Name, Error string }
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		objects = append(objects, o.Context+" "+o.Name+o.Error)
	}
	if got := strings.Join(objects, "\n"); got != "far e2ectx.a\nsafe e2ectx.b\ntorn no valid private key found" || r.code != 1 || r.err != "" {
		t.Errorf("json: %+v", r)
	}
}

// columns is how many places the heading of the third column, and what is below it,
// begin at; errors have no columns.
func columns(table string) int {
	places := map[int]bool{}
	for line := range strings.Lines(table) {
		for _, word := range []string{"NAME ", "e2ectx."} {
			if i := strings.Index(line, word); i >= 0 {
				places[i] = true
			}
		}
	}
	return len(places)
}

func sortedLines(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

// watch shows what changes on both engines, and that the others do not answer.
func (c several) watch(t *testing.T) {
	w := startWatcher(t, c.user, "kasm", "ls", "--watch", "--all-contexts", "--context-timeout", "5s", "--filter", "name=e2ectx", "--format", "{{.Context}} {{.Name}} {{.State}}{{.Error}}")
	for _, line := range []string{
		"far e2ectx.a running", "safe e2ectx.b running",
		"default  Cannot connect to the Docker daemon at unix:///nowhere/docker.sock. Is the docker daemon running?",
		"distant  no answer within 5s", "mute  no answer within 5s", "torn  no valid private key found",
	} {
		w.awaitLine(line)
	}
	c.docker(t, "-H", c.first, "pause", "e2ectx.both")
	w.awaitLine("far e2ectx.both paused")
	c.docker(t, "-H", c.second, "pause", "e2ectx.b")
	w.awaitLine("safe e2ectx.b paused")
	c.docker(t, "-H", c.second, "unpause", "e2ectx.b")
	c.docker(t, "-H", c.first, "unpause", "e2ectx.both")
	again := regexp.MustCompile(`(?s)\nsafe e2ectx.b paused\n(.*\n)?safe e2ectx.b running\n`)
	w.await("that it runs again", again.MatchString)
	w.interrupt()
	if text := w.text.String(); strings.Contains(text, "safe e2ectx.both paused") {
		t.Errorf("one is taken for another:\n%s", text)
	}
	c.noConnections(t)
}

func (c several) find(t *testing.T) {
	both := "--contexts=far,safe"
	c.want(t, 0, "e2ectx.a\ne2ectx.b\n", "", "pause", both, "e2ectx.a", "e2ectx.b")
	if a, b := c.state(t, c.first, "e2ectx.a"), c.state(t, c.second, "e2ectx.b"); a != "paused" || b != "paused" {
		t.Errorf("they are %s and %s", a, b)
	}
	c.want(t, 1, "e2ectx.a\n", `session "e2ectx.both" is in several contexts: say "far/e2ectx.both" or "safe/e2ectx.both"`+"\n"+
		`no session "nosuch" in context "far" or "safe": .*`+"\n", "start", both, "e2ectx.both", "e2ectx.a", "nosuch")
	// What is said to be in one context is asked of no other: mute would be late.
	c.want(t, 0, "safe/e2ectx.both\n", "", "stop", "--all-contexts", "--context-timeout", "1m", "safe/e2ectx.both")
	if a, b := c.state(t, c.first, "e2ectx.both"), c.state(t, c.second, "e2ectx.both"); a != "running" || b != "exited" {
		t.Errorf("they are %s and %s", a, b)
	}
	// Another session of that name may be where nobody answers.
	c.want(t, 1, "", `session "e2ectx.b" is in context "safe", but context "torn" cannot be asked .*: say "safe/e2ectx.b" to leave that out`+"\n"+
		`context "torn": .*`+"\n", "start", "--contexts", "safe,torn", "e2ectx.b")
	if b := c.state(t, c.second, "e2ectx.b"); b != "paused" {
		t.Errorf("it is %s", b)
	}
	c.want(t, 1, "Context: +safe\nName: +e2ectx.b\n.*Can be done: .*\n", `context "torn": .*`+"\n", "view", "--contexts", "safe,torn", "e2ectx.b")
	c.want(t, 0, "safe e2ectx.b\nfar e2ectx.a\n", "", "inspect", both, "--format", "{{.Context}} {{.Name}}", "e2ectx.b", "far/e2ectx.a")
	// Completion offers what it learns in two seconds.
	until(t, func() (bool, string) {
		complete := command("docker", "__complete", "kasm", "stop", both, "")
		complete.Env = c.env
		out, err := complete.Output()
		const want = "e2ectx.a\nfar/e2ectx.both\ne2ectx.b\n"
		return err == nil && sortedLines(strings.TrimSuffix(string(out), ":4\n")) == sortedLines(want), fmt.Sprintf("completion: %v\n%s", err, out)
	})
}

func (c several) delete(t *testing.T) {
	both := "--contexts=far,safe"
	c.want(t, 1, "", "deleting a session loses what was written to its disk: .*\n", "rm", both, "e2ectx.a")
	c.want(t, 1, "e2ectx.a\nsafe/e2ectx.both\n", `session "e2ectx.both" is in several contexts: .*`, "rm", "-f", both, "e2ectx.both", "e2ectx.a", "safe/e2ectx.both")
	if gone, left := c.state(t, c.first, "e2ectx.a")+c.state(t, c.second, "e2ectx.both"), c.state(t, c.first, "e2ectx.both"); gone != "" || left != "running" {
		t.Errorf("it is %s, and the other %s", gone, left)
	}
	// The snapshot is made by the engine that has the session.
	c.want(t, 0, "e2ectx.b\n", "(?s:.*)safe/e2ectx.b: kept as kasm-e2e-base:.*, workspace .*", "rm", "-f", "--snapshot", both, "e2ectx.b")
	image := c.docker(t, "-H", c.second, "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "label=io.github.docker-kasm.snapshot.workspace=states")
	if image == "" {
		t.Fatal("there is no snapshot")
	}
	c.docker(t, "-H", c.second, "tag", image, "e2ectx:kept")
	c.docker(t, "-H", c.second, "rmi", image)
}

func (c several) workspaces(t *testing.T) {
	c.must(t, "workspace", "create", "--image", "e2ectx:kept", "e2ectx-mine")
	// Each context has the user's workspaces, as far as its engine has their images.
	const format = "{{.Context}} {{.Name}} {{.Availability}} {{.Scope}}"
	c.want(t, 0, "(?s:.*)far e2ectx-mine (unknown|missing) user\n.*safe e2ectx-mine available user\n.*", "", "workspace", "ls", "--contexts", "far,safe", "--format", format)
	// A helper's catalogue is that of its engine.
	t.Cleanup(func() {
		for _, args := range []string{"rm -f docker-kasm-helper", "volume rm -f docker-kasm-helper"} {
			c.docker(t, append([]string{"-H", c.second}, strings.Fields(args)...)...)
		}
	})
	c.docker(t, "--context", "safe", "kasm", "helper", "install")
	c.docker(t, "--context", "safe", "kasm", "workspace", "create", "--scope", "engine", "--image", baseImage, "e2ectx-theirs")
	until(t, func() (bool, string) {
		out := c.docker(t, "--context", "safe", "kasm", "workspace", "ls", "--scope", "engine", "--format", "{{.Name}} {{.Availability}}")
		return out == "e2ectx-theirs available", out
	})
	c.want(t, 1, "CONTEXT +FRIENDLY NAME +NAME .*\nfar +error: this engine has no helper: .*\nsafe +e2ectx-theirs +e2ectx-theirs +kasm-e2e-base:latest +available .*\n", "",
		"workspace", "ls", "--contexts", "far,safe", "--scope", "engine")
}

// interrupt ends a command that waits for contexts that say nothing.
func (c several) interrupt(t *testing.T) {
	cmd := command("docker", "kasm", "ls", "--contexts", "distant,mute", "--context-timeout", "10m")
	cmd.Env, cmd.SysProcAttr = c.env, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, func() (bool, string) { return len(c.connections(t)) > 0, "there is no ssh" })
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its status tells
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("it ended with %d", code)
	}
	c.noConnections(t)
}

// noConnections wants all processes of connections to come to their end.
func (c several) noConnections(t *testing.T) {
	t.Helper()
	until(t, func() (bool, string) {
		left := c.connections(t)
		return len(left) == 0, fmt.Sprintf("ssh processes are left: %v", left)
	})
}

// connections are the processes of connections by the test's own ssh, but for the
// server.
func (c several) connections(t *testing.T) []string {
	t.Helper()
	_, path, _ := strings.Cut(c.env[len(c.env)-2], "=")
	mark := filepath.Join(filepath.Dir(strings.Split(path, ":")[0]), "ssh_config")
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil && bytes.Contains(data, append([]byte(mark), 0)) {
			found = append(found, string(bytes.ReplaceAll(data, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// muteServer takes connections and says nothing.
func muteServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// tear makes the key of the context torn none.
func tear(t *testing.T, config string) {
	t.Helper()
	metas, _ := filepath.Glob(filepath.Join(config, "contexts", "meta", "*", "meta.json"))
	for _, file := range metas {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data, []byte(`"torn"`)) {
			continue
		}
		key := filepath.Join(config, "contexts", "tls", filepath.Base(filepath.Dir(file)), "docker", "key.pem")
		if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("there is no context torn")
}
