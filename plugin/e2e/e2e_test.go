// Package e2e drives the real docker CLI with the plugin against a real engine.
// Run it with `make test`, or against any engine with:
//
//	contrib/engines/engine exec NAME -- go test ./plugin/e2e
package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/plugin/e2e/faultproxy"
)

// suite is what all scripts share: a plugin built once, and an image.
type suite struct {
	plugin, helper string
	host           string
}

const baseImage = "kasm-e2e-base:latest"

// awaited is how long a script waits for what is to come.
const awaited = time.Minute

func newSuite(t *testing.T) suite {
	t.Helper()
	if os.Getenv("KASM_TEST_ENGINE") == "" {
		t.Skip("no engine to test against: run `make test`, or set KASM_TEST_ENGINE=1 and DOCKER_HOST")
	}
	dir := t.TempDir()
	s := suite{plugin: filepath.Join(dir, "docker-kasm"), helper: filepath.Join(dir, "docker-credential-e2e"), host: os.Getenv("DOCKER_HOST")}
	for output, source := range map[string]string{s.plugin: "../docker-kasm", filepath.Join(dir, "kasm-helper-linux-"+runtime.GOARCH): "../../helper/kasm-helper"} {
		build := exec.Command("go", "build", "-o", output, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // the helper is alone in its image
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", source, err, out)
		}
	}
	if err := os.WriteFile(s.helper, []byte(credentialHelper), 0o755); err != nil {
		t.Fatal(err)
	}
	s.buildBase(t)
	return s
}

// credentialHelper is a credential store of the tests' own: it answers from
// files beside $E2E_CREDENTIALS, in the protocol of docker-credential-helpers.
const credentialHelper = `#!/bin/sh
read -r server
file="$E2E_CREDENTIALS/$(printf %s "$server" | tr '/:' '__')"
case $1 in
get)
	[ ! -e "$E2E_CREDENTIALS/broken" ] || { echo "the keychain is locked"; exit 1; }
	[ -e "$file" ] || { echo "credentials not found in native keychain"; exit 1; }
	cat "$file" ;;
list) echo '{}' ;;
*) exit 1 ;;
esac
`

// buildBase makes an image whose container listens on port 6901 and runs until it
// is told to stop, at once, and that has an environment and labels of its own.
func (s suite) buildBase(t *testing.T) {
	t.Helper()
	s.docker(t, "image", "inspect", "demo:latest")
	id := s.docker(t, "create", "demo:latest", "true")
	defer s.docker(t, "rm", id)
	s.docker(t, "commit",
		"-c", `CMD ["/bin/sh","-c","trap 'exit 0' TERM; httpd -p 6901; while :; do sleep 3600 & wait $!; done"]`,
		"-c", `ENV PATH=/bin BASE=from-image CHANGED=image-value`, "-c", `LABEL base.label=from-image`, "-c", "EXPOSE 6901", id, baseImage)
}

func (s suite) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// until waits until something is so, and fails the test with what is instead.
func until(t *testing.T, is func() (so bool, instead string)) {
	t.Helper()
	for end := time.Now().Add(awaited); ; time.Sleep(50 * time.Millisecond) {
		so, instead := is()
		if so {
			return
		}
		if time.Now().After(end) {
			t.Fatal(instead)
		}
	}
}

// ready waits until a container of the base image would end when it is told to: a
// signal that comes before it is trapped is lost.
func (s suite) ready(t *testing.T, container string) {
	t.Helper()
	until(t, func() (bool, string) {
		top := s.docker(t, "top", container)
		return strings.Contains(top, "sleep 3600"), container + " is not ready:\n" + top
	})
}

// ended waits until a container has ended, and its engine lists it so, which comes
// a little later.
func (s suite) ended(t *testing.T, container string) {
	t.Helper()
	s.docker(t, "wait", container)
	until(t, func() (bool, string) {
		state := s.docker(t, "ps", "-a", "--filter", "name=^"+container+"$", "--format", "{{.State}}")
		return state == "exited", container + " has ended and is listed as " + state
	})
}

func TestScripts(t *testing.T) {
	s := newSuite(t)
	params := s.params()
	params.Dir = "testdata/script"
	testscript.Run(t, params)
}

// TestHelper runs the scripts about the helper, of which an engine has one: each
// by itself.
func TestHelper(t *testing.T) {
	s := newSuite(t)
	files, err := filepath.Glob("testdata/helper/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			params := s.params()
			params.Files = []string{file}
			params.Setup = func(env *testscript.Env) error {
				env.Defer(removeHelper)
				removeHelper()
				return s.setup(env)
			}
			testscript.Run(t, params)
		})
	}
}

// removeHelper removes the engine's helper, all it has kept, and its image, which
// sessions that were opened leave as well.
func removeHelper() {
	_ = command("docker", "rm", "-f", dial.Volume, dial.Volume+"-former").Run()
	_ = command("docker", "volume", "rm", "-f", dial.Volume).Run()
	images, _ := command("docker", "images", "-q", dial.Volume).Output()
	if ids := strings.Fields(string(images)); len(ids) > 0 {
		_ = command("docker", append([]string{"rmi", "-f"}, ids...)...).Run()
	}
}

func (s suite) params() testscript.Params {
	return testscript.Params{
		Setup:               s.setup,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"docker":   docker,
			"kasm":     kasm,
			"login":    login,
			"masked":   masked,
			"setenv":   setenv,
			"await":    await,
			"imagecfg": imageConfig,
			"deep":     deep,
			"proxy":    startProxy,
			"fault":    fault,
			"requests": requests,
		},
		Condition: func(cond string) (bool, error) {
			out, err := command("docker", "info", "--format", "{{.DriverStatus}}").Output()
			switch cond {
			case "containerd-store":
				return strings.Contains(string(out), "io.containerd.snapshotter.v1"), err
			case "registry":
				return os.Getenv("KASM_TEST_REGISTRY") != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	}
}

// setup gives each script a home, a docker configuration and a name of its own,
// and clears away what it leaves on the engine.
func (s suite) setup(env *testscript.Env) error {
	config := filepath.Join(env.WorkDir, "docker-config")
	plugins := filepath.Join(config, "cli-plugins")
	bin := filepath.Join(env.WorkDir, "bin")
	credentials := filepath.Join(env.WorkDir, "credentials")
	for _, dir := range []string{plugins, bin, credentials, filepath.Join(env.WorkDir, "home")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink(s.plugin, filepath.Join(plugins, "docker-kasm")); err != nil {
		return err
	}
	if err := os.Symlink(s.helper, filepath.Join(bin, "docker-credential-e2e")); err != nil {
		return err
	}
	name := "e2e" + strings.ToLower(filepath.Base(env.WorkDir)[len("script-"):])
	name = regexp.MustCompile(`[^a-z0-9]`).ReplaceAllString(name, "")
	for _, kv := range [][2]string{
		{"DOCKER_CONFIG", config}, {"DOCKER_HOST", s.host}, {"E2E_CREDENTIALS", credentials},
		{"HOME", filepath.Join(env.WorkDir, "home")}, {"PATH", bin + ":" + os.Getenv("PATH")},
		{"N", name}, {"BASE", baseImage}, {"REGISTRY", os.Getenv("KASM_TEST_REGISTRY")}, {"OPENREGISTRY", os.Getenv("KASM_TEST_OPEN_REGISTRY")},
		{"REGISTRYPASSWORD", os.Getenv("KASM_REGISTRY_PASSWORD")},
		{"PLUGIN", s.plugin}, {"TZ", "UTC"}, {"EVIL", "x\x1b[2Jy"},
	} {
		env.Setenv(kv[0], kv[1])
	}
	if docker, err := exec.LookPath("docker"); err == nil {
		env.Setenv("DOCKER", docker)
	}
	env.Values[proxyVariable] = new(*faultproxy.Proxy)
	env.Defer(func() { cleanUp(name) })
	return nil
}

func cleanUp(name string) {
	for _, args := range [][2]string{
		{"ps -aq --filter name=" + name, "rm -fv"},
		// By name: another name of the same image is somebody else's.
		{"images --format {{.Repository}}:{{.Tag}} --filter reference=" + name + "* --filter reference=*/" + name + "*", "rmi -f"},
		{"volume ls -q --filter name=" + name, "volume rm -f"},
		{"network ls -q --filter name=" + name, "network rm"},
	} {
		ids, _ := command("docker", strings.Fields(args[0])...).Output()
		if list := strings.Fields(string(ids)); len(list) > 0 {
			_ = command("docker", append(strings.Fields(args[1]), list...)...).Run()
		}
	}
}

func run(ts *testscript.TestScript, neg bool, program string, args []string) {
	err := ts.Exec(program, args...)
	switch {
	case err == nil && neg:
		ts.Fatalf("%s succeeded, and should have failed", program)
	case err != nil && !neg:
		ts.Fatalf("%s failed: %v", program, err)
	}
}

// docker runs the docker CLI; `! docker` wants it to fail, `docker =125 …` to
// fail with a status.
func docker(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 0 && strings.HasPrefix(args[0], "=") {
		err := ts.Exec("docker", args[1:]...)
		got := 0
		var exit *exec.ExitError
		if err != nil {
			if !errors.As(err, &exit) {
				ts.Fatalf("docker: %v", err)
			}
			got = exit.ExitCode()
		}
		if want := args[0][1:]; fmt.Sprint(got) != want {
			ts.Fatalf("docker ended with status %d, not %s", got, want)
		}
		return
	}
	run(ts, neg, "docker", args)
}

// kasm is short for docker kasm.
func kasm(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 0 && strings.HasPrefix(args[0], "=") {
		docker(ts, neg, append([]string{args[0], "kasm"}, args[1:]...))
		return
	}
	docker(ts, neg, append([]string{"kasm"}, args...))
}

// login puts credentials for a registry where the CLI finds them: in the
// credential helper (`login helper HOST`), in config.json (`login file HOST`),
// in the environment (`login env HOST`), or nowhere (`login none`); `login
// credhelper HOST` sets the helper for that host alone; `login wrong HOST` puts a wrong password in the
// helper.
func login(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: login helper|wrong|file|none [HOST]")
	}
	user, password := os.Getenv("KASM_REGISTRY_USER"), os.Getenv("KASM_REGISTRY_PASSWORD")
	config := map[string]any{}
	switch args[0] {
	case "helper", "wrong", "credhelper":
		if args[0] == "wrong" {
			password = "not-" + password
		}
		config["credsStore"] = "e2e"
		if args[0] == "credhelper" {
			config = map[string]any{"credHelpers": map[string]string{args[1]: "e2e"}}
		}
		data, err := json.Marshal(map[string]string{"ServerURL": args[1], "Username": user, "Secret": password})
		ts.Check(err)
		file := strings.NewReplacer("/", "_", ":", "_").Replace(args[1])
		ts.Check(os.WriteFile(filepath.Join(ts.Getenv("E2E_CREDENTIALS"), file), data, 0o600))
	case "file", "env":
		auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		config["auths"] = map[string]any{args[1]: map[string]string{"auth": auth}}
		if args[0] == "env" {
			data, err := json.Marshal(config)
			ts.Check(err)
			ts.Setenv("DOCKER_AUTH_CONFIG", string(data))
			return
		}
	case "none":
	}
	data, err := json.Marshal(config)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("DOCKER_CONFIG"), "config.json"), data, 0o600))
}

// masked compares the last stdout with a file, after what differs from run to
// run (ids, digests, times, sizes, this script's name) is masked in it.
func masked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: masked stdout|stderr|FILE GOLDEN")
	}
	got := mask(ts.ReadFile(args[0]), ts.Getenv("N"), "N", ts.Getenv("WORK"), "WORK")
	ts.Check(os.WriteFile(ts.MkAbs("masked.out"), []byte(got), 0o600))
	want := ts.ReadFile(args[1])
	if got != want {
		ts.Fatalf("%s differs from %s:\n%s\ninstead of:\n%s", args[0], args[1], got, want)
	}
}

// mask replaces what differs from run to run; names are pairs of a name and what
// it stands for.
func mask(text string, names ...string) string {
	text = strings.NewReplacer(names...).Replace(text)
	for _, m := range []struct{ pattern, with string }{
		{`sha256:[0-9a-f]{64}`, "SHA256"},
		{`\b[0-9a-f]{16}\b`, "SESSION"},
		{`\b[0-9a-f]{12}\b`, "ID"},
		{`-[0-9a-f]{6}\b`, "-ID"},
		{`\d{4}-\d\d-\d\d\.\d\d\.\d\d(\.\d\d)?`, "STAMP"},
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`, "TIME"},
		{`(\d+ (seconds?|minutes?)|Less than a second|About a minute) ago`, "AGO"},
		{`\b\d+ hours\b`, "HOURS"},
		{`\b(\d+m)?\d+(\.\d+)?(m|µ)?s\b`, "DURATION"},
		{`\b\d+(\.\d+)?([kKMG]i?)?B\b`, "SIZE"},
		{`:\d{5}\b`, ":PORT"},
	} {
		text = regexp.MustCompile(m.pattern).ReplaceAllString(text, m.with)
	}
	text = regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
	text = regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "")
	return text
}

// setenv sets a variable to the last stdout, without the newline at its end.
func setenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: setenv VARIABLE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// await waits until docker kasm, or docker, succeeds and its stdout matches, its
// stderr too where -e is given, or a file has what matches: `await [-m PATTERN] [-e
// PATTERN] kasm|docker ARGS`, `await -m PATTERN file NAME`.
func await(ts *testscript.TestScript, neg bool, args []string) {
	matches, stderr := regexp.MustCompile(""), regexp.MustCompile("")
	for len(args) > 2 && (args[0] == "-m" || args[0] == "-e") {
		pattern, err := regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		if args[0] == "-m" {
			matches = pattern
		} else {
			stderr = pattern
		}
		args = args[2:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await [-m PATTERN] [-e PATTERN] kasm|docker|file ARGS")
	}
	look := func() (out, errs string, err error) {
		if args[0] == "file" {
			data, err := os.ReadFile(ts.MkAbs(args[1]))
			return string(data), "", err
		}
		err = ts.Exec("docker", args...)
		return ts.ReadFile("stdout"), ts.ReadFile("stderr"), err
	}
	if args[0] == "docker" {
		args = args[1:]
	}
	for end := time.Now().Add(awaited); ; time.Sleep(250 * time.Millisecond) {
		text, errs, err := look()
		if err == nil && matches.MatchString(text) && stderr.MatchString(errs) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s does not come to %s %s: %v\n%s%s", strings.Join(args, " "), matches, stderr, err, text, errs)
		}
	}
}

// imageConfig prints an image's configuration file as a registry would get it,
// taken from `docker save`, on stdout of the script: `imagecfg IMAGE FILE`.
func imageConfig(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: imagecfg IMAGE FILE")
	}
	archive := ts.MkAbs("save.tar")
	ts.Check(ts.Exec("docker", "save", "-o", archive, args[0]))
	manifest, err := exec.Command("tar", "-xOf", archive, "manifest.json").Output()
	ts.Check(err)
	var images []struct{ Config string }
	ts.Check(json.Unmarshal(manifest, &images))
	config, err := exec.Command("tar", "-xOf", archive, images[0].Config).Output()
	ts.Check(err)
	var pretty bytes.Buffer
	ts.Check(json.Indent(&pretty, config, "", " "))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), append(pretty.Bytes(), '\n'), 0o600))
	ts.Check(os.Remove(archive))
}
