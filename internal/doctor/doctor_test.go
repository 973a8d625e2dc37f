package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/disk"
	"github.com/docker-kasm/docker-kasm/internal/dockercli"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// all runs checks and returns a line for each finding.
func all(t *testing.T, checks ...Check) string {
	t.Helper()
	var lines strings.Builder
	err := Run(t.Context(), 10*time.Second, checks, func(f Finding) error {
		fmt.Fprintf(&lines, "%s %s: %s", f.Check, f.Status, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(&lines, " -> %s", f.Advice)
		}
		lines.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines.String()
}

func TestChecksRunAtOnceAndAreToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		began := time.Now()
		got := all(t,
			Check{"slow", func(context.Context) []Finding { time.Sleep(5 * time.Second); return ok("done") }},
			Check{"hung", func(context.Context) []Finding { <-hangs; return nil }},
			Check{"quick", func(context.Context) []Finding { return append(ok("one"), warning("mend it", "two")...) }},
		)
		const want = "slow ok: done\nhung failed: it has not ended after 10s -> see what it waits for; --timeout gives it longer\nquick ok: one\nquick warning: two -> mend it\n"
		if got != want {
			t.Errorf("got:\n%s", got)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %s", took)
		}
		close(hangs)
	})
}

func TestPlugin(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name, "docker-kasm")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second, broken := put("first", 0o755), put("second", 0o755), put("broken", 0o644)
	link := filepath.Join(dir, "link", "docker-kasm")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	in := func(names ...string) []string {
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		return names
	}
	for name, c := range map[string]struct {
		self string
		dirs []string
		want string
	}{
		"one":                 {first, in("none", "first"), "plugin ok: v1 at " + first + "\n"},
		"a link to it":        {first, in("link", "first"), "plugin ok: v1 at " + link + "\n"},
		"another behind it":   {first, in("first", "second"), "plugin warning: v1 at " + first + "; the docker CLI takes it before " + second + " -> remove those that you do not want\n"},
		"another before it":   {second, in("first", "second"), "plugin warning: v1 at " + second + " runs, but the docker CLI takes " + first + " -> remove the one that you do not want\n"},
		"not found":           {first, in("none"), "plugin warning: v1 at " + first + ", which the docker CLI does not find -> to use it as `docker kasm`, put it or a link to it at " + filepath.Join(dir, "none", "docker-kasm") + "\n"},
		"one that cannot run": {first, in("broken", "first"), "plugin failed: " + broken + " cannot be run, and it is what the docker CLI takes -> chmod +x " + broken + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := all(t, Plugin("v1", c.self, c.dirs, "docker-kasm")); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestCLI(t *testing.T) {
	for version, want := range map[string]string{
		"18.09.9": "failed", "19.03.1": "warning", "20.10.24+dfsg1": "ok", "28.5.2": "ok", "29.0.0-rc.1": "ok", "": "warning",
	} {
		check := CLI(func(context.Context) (string, error) {
			if version == "" {
				return "", dockercli.ErrNone
			}
			return version, nil
		})
		if got := all(t, check); !strings.HasPrefix(got, "cli "+want+": ") {
			t.Errorf("%q: got %s", version, got)
		}
	}
}

// fakeEngine answers with what it is given.
type fakeEngine struct {
	err      error
	hangs    bool
	version  types.Version
	info     system.Info
	sessions []container.Summary
	images   []image.Summary
	// registry answers for images; no entry hangs.
	registry map[string]error
}

func (e *fakeEngine) Ping(ctx context.Context) (types.Ping, error) {
	if e.hangs {
		<-ctx.Done()
		return types.Ping{}, ctx.Err()
	}
	return types.Ping{}, e.err
}

func (e *fakeEngine) ServerVersion(context.Context) (types.Version, error) { return e.version, e.err }
func (e *fakeEngine) Info(context.Context) (system.Info, error)            { return e.info, e.err }
func (e *fakeEngine) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return e.images, e.err
}
func (e *fakeEngine) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return e.sessions, e.err
}

func (e *fakeEngine) DistributionInspect(ctx context.Context, ref, _ string) (registry.DistributionInspect, error) {
	err, known := e.registry[ref]
	if !known {
		<-ctx.Done()
		err = ctx.Err()
	}
	return registry.DistributionInspect{}, err
}

func engineOf(t *testing.T, e *fakeEngine) *Engine {
	t.Helper()
	return NewEngine(t.Context(), 10*time.Second, e, "desk", "tcp://desk:2376")
}

func TestAnEngineThatDoesNotAnswerIsSaidOnce(t *testing.T) {
	for name, c := range map[string]struct {
		engine fakeEngine
		want   string
	}{
		"down":      {fakeEngine{err: errors.New("connection refused")}, "context failed: desk, at tcp://desk:2376: connection refused -> start the engine, or choose another with `docker context use`\n"},
		"forbidden": {fakeEngine{err: errors.New("dial unix: permission denied")}, "context failed: desk, at tcp://desk:2376: dial unix: permission denied -> have yourself added to the group that may use the socket, often `docker`, and log in anew\n"},
		"hung":      {fakeEngine{hangs: true}, "context failed: desk, at tcp://desk:2376: no answer in time -> see that the engine's host is up and that nothing on the way swallows packets\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := engineOf(t, &c.engine)
				const rest = "engine warning: not checked, as the engine does not answer\npause warning: not checked, as the engine does not answer\n"
				if got := all(t, e.Context(), e.Version(), e.Pause()); got != c.want+rest {
					t.Errorf("got:\n%s", got)
				}
			})
		})
	}
}

func TestEngineVersion(t *testing.T) {
	for _, c := range []struct {
		api, os string
		want    Status
	}{{"1.41", "linux", OK}, {"1.56", "linux", OK}, {"1.40", "linux", Warning}, {"1.51", "windows", Failed}} {
		e := engineOf(t, &fakeEngine{version: types.Version{APIVersion: c.api, Os: c.os}})
		if got := all(t, e.Version()); !strings.HasPrefix(got, "engine "+string(c.want)) {
			t.Errorf("%s %s: %s", c.api, c.os, got)
		}
	}
}

func TestPause(t *testing.T) {
	for name, c := range map[string]struct {
		info system.Info
		want Status
	}{
		"version 1":               {system.Info{CgroupDriver: "cgroupfs", CgroupVersion: "1", KernelVersion: "4.19.0"}, OK},
		"version 2":               {system.Info{CgroupDriver: "systemd", CgroupVersion: "2", KernelVersion: "6.1.0-18-amd64"}, OK},
		"version 2, old kernel":   {system.Info{CgroupDriver: "systemd", CgroupVersion: "2", KernelVersion: "4.19.0"}, Warning},
		"rootless, not delegated": {system.Info{CgroupDriver: "none", CgroupVersion: "1"}, Warning},
	} {
		if got := all(t, engineOf(t, &fakeEngine{info: c.info}).Pause()); !strings.HasPrefix(got, "pause "+string(c.want)) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// adopted has the record of a container, and one that cannot be read.
type adopted struct{ container string }

func (a adopted) Records(context.Context, bool) ([]roster.Record, error) {
	return []roster.Record{{Kind: roster.Adopted, Container: a.container}}, errors.New("another one is damaged")
}

func (adopted) AtOnce() bool { return false }

func (adopted) Missing(context.Context, []roster.Record) {}

func TestDiskIsComparedWithTheLargestSession(t *testing.T) {
	session := func(name string, size int64) container.Summary {
		return container.Summary{ID: name, Names: []string{"/" + name}, SizeRw: size, Labels: map[string]string{session.LabelSession: "0123456789abcdef", session.LabelName: name}}
	}
	const gb = 1e9
	for name, c := range map[string]struct {
		free uint64
		want string
	}{
		"ample":  {10 * gb, "disk ok: 10GB of 100GB free; the largest session, b, has written 3GB\n"},
		"little": {5 * gb, "disk warning: 5GB of 100GB free; the largest session, b, has written 3GB: a snapshot of it may not fit -> free some: `docker system df` tells what takes it\n"},
		"none":   {2 * gb, "disk failed: 2GB of 100GB free; the largest session, b, has written 3GB: a snapshot of it does not fit -> free some: `docker system df` tells what takes it\n"},
	} {
		t.Run(name, func(t *testing.T) {
			api := &fakeEngine{sessions: []container.Summary{session("a", gb), session("b", 3*gb), session("c", 2*gb)}}
			helper := func(context.Context) (disk.Space, bool) { return disk.Space{Free: c.free, Total: 100 * gb}, true }
			if got := all(t, engineOf(t, api).Disk(api, nil, helper)); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
	// One that was adopted counts too, and records that cannot be read hide nothing.
	engine := &fakeEngine{sessions: []container.Summary{{ID: "x", Names: []string{"/db"}, SizeRw: 2 * gb}}}
	ample := func(context.Context) (disk.Space, bool) { return disk.Space{Free: 10 * gb, Total: 100 * gb}, true }
	if got := all(t, engineOf(t, engine).Disk(engine, adopted{"x"}, ample)); got != "disk ok: 10GB of 100GB free; the largest session, db, has written 2GB\n" {
		t.Errorf("got %s", got)
	}
	nobody := func(context.Context) (disk.Space, bool) { return disk.Space{}, false }
	api := &fakeEngine{info: system.Info{DockerRootDir: "/var/lib/docker"}}
	if got := all(t, engineOf(t, api).Disk(api, nil, nobody)); !strings.HasPrefix(got, "disk warning: free disk is not known") || !strings.Contains(got, "df -h /var/lib/docker") {
		t.Errorf("got %s", got)
	}
}

func TestCredentialHelpers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for name, script := range map[string]string{
		"good": `[ "$1" = list ] && echo '{"https://reg":"me"}'`,
		"bad":  `echo "the store is locked"; exit 1`,
		"odd":  `echo hello`,
	} {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := &configfile.ConfigFile{CredentialsStore: "good", CredentialHelpers: map[string]string{
		"a.example": "bad", "b.example": "bad", "c.example": "odd", "d.example": "absent", "e.example": "good",
	}}
	const want = `credentials failed: docker-credential-absent, for d.example, is not on the PATH -> install it, or take it out of the docker CLI's configuration
credentials warning: docker-credential-bad, for a.example, b.example, fails: the store is locked (exit status 1) -> unlock the store that it asks, and see what it says: docker-credential-bad list
credentials ok: docker-credential-good, for all registries, answers
credentials warning: docker-credential-odd, for c.example, answers with what is no list -> see that it is a credential helper
`
	if got := all(t, Credentials(file)); got != want {
		t.Errorf("got:\n%s", got)
	}
	if got := all(t, Credentials(&configfile.ConfigFile{Filename: "/home/me/.docker/config.json"})); got != "credentials ok: no credential helper is set up: `docker login` keeps passwords in /home/me/.docker/config.json\n" {
		t.Errorf("without any: %s", got)
	}
}

func TestACredentialHelperThatHangs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-hung"), []byte("#!/bin/sh\nexec sleep 3600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	found := Credentials(&configfile.ConfigFile{CredentialsStore: "hung"}).Look(ctx)
	if len(found) != 1 || found[0].Status != Failed || !strings.Contains(found[0].Text, "does not answer") {
		t.Errorf("found %+v", found)
	}
}

func container1(name, image string) *workspace.Workspace {
	return &workspace.Workspace{Name: name, Type: workspace.TypeContainer, Image: image, Enabled: true}
}

func TestRegistriesAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeEngine{
			images: []image.Summary{{RepoTags: []string{"here.example/x:latest"}}},
			registry: map[string]error{
				"good.example/x":   nil,
				"empty.example/x":  errors.New("manifest unknown: manifest unknown"),
				"closed.example/x": errors.New(`Head "https://closed.example/v2/": no basic auth credentials`),
				"wrong.example/x":  errors.New("unauthorized: authentication required"),
				"busy.example/x":   errors.New("toomanyrequests: retry-after: 30s"),
				"down.example/x":   errors.New("dial tcp: connection refused"),
				"here.example/x":   errors.New("dial tcp: connection refused"),
			},
		}
		var list []*workspace.Workspace
		for _, host := range []string{"good", "empty", "closed", "wrong", "busy", "down", "here", "locked", "silent"} {
			list = append(list, container1(host, host+".example/x"))
		}
		disabled := container1("disabled", "disabled.example/x")
		disabled.Enabled = false
		list = append(list, disabled, &workspace.Workspace{Name: "server", Type: workspace.TypeServer, Enabled: true})
		check := engineOf(t, api).Registries(api, func(context.Context) []*workspace.Workspace { return list }, func(ref string) (string, bool, error) {
			if strings.HasPrefix(ref, "locked") {
				return "", false, errors.New("the keychain is locked")
			}
			return "", strings.HasPrefix(ref, "wrong"), nil
		})
		const net = " -> see that the engine's host reaches it: its name, its certificate, and the engine's proxy and insecure-registries\n"
		const want = "registry warning: busy.example answers, but takes no more requests for now -> wait for 30s\n" +
			"registry warning: closed.example answers, but shows closed.example/x to nobody without a login, or does not have it -> log in: docker login closed.example\n" +
			"registry failed: down.example cannot be reached from the engine: dial tcp: connection refused" + net +
			"registry ok: empty.example answers; it does not have empty.example/x\n" +
			"registry ok: good.example answers, and has good.example/x\n" +
			"registry warning: here.example cannot be reached from the engine: dial tcp: connection refused" + net +
			"registry failed: locked.example: your credentials cannot be read: the keychain is locked -> see what the credential helper says\n" +
			"registry failed: silent.example does not answer in time: context deadline exceeded" + net +
			"registry warning: wrong.example answers, but refuses your credentials for wrong.example/x, or does not have it -> log in anew: docker login wrong.example\n"
		if got := all(t, check); got != want {
			t.Errorf("got:\n%s", got)
		}
	})
}

func TestARegistryIsAskedForWhatTheEngineLacks(t *testing.T) {
	made := container1("made", "reg.example/made:1")
	made.Snapshot = &workspace.Snapshot{}
	onlyMade := container1("only", "other.example/made:1")
	onlyMade.Snapshot = &workspace.Snapshot{}
	got := samplesOf([]*workspace.Workspace{made, onlyMade, container1("a", "reg.example/a"), container1("b", "reg.example/b"), container1("c", "reg.example/c")},
		[]image.Summary{{RepoTags: []string{"reg.example/a:latest", "reg.example/c:latest"}}})
	if want := (sample{image: "reg.example/b"}); got["reg.example"] != want {
		t.Errorf("asked for %+v", got["reg.example"])
	}
	if got["other.example"].image != "other.example/made:1" {
		t.Errorf("asked for %+v", got["other.example"])
	}
}

func TestRecordsOfSessions(t *testing.T) {
	records := func(_ context.Context, askEngine bool) ([]roster.Record, error) {
		list := []roster.Record{{Name: "a"}}
		if !askEngine {
			return list, nil
		}
		return list, errors.Join(
			errors.Join(&roster.FileError{Name: "b", Path: "/sessions/b.toml", Err: errors.New("kind is missing")}),
			fmt.Errorf("ask for the sessions that the helper keeps: %w", errors.New("it is away")))
	}
	const want = "sessions failed: the record of a session /sessions/b.toml cannot be read: kind is missing -> mend the file, or remove it\n" +
		"sessions failed: ask for the sessions that the helper keeps: it is away\n"
	if got := all(t, engineOf(t, &fakeEngine{}).Sessions(records)); got != want {
		t.Errorf("got %s", got)
	}
	if got := all(t, engineOf(t, &fakeEngine{err: errors.New("down")}).Sessions(records)); got != "sessions ok: 1 record, all readable\n" {
		t.Errorf("without an engine: %s", got)
	}
}

func TestFilesAndPushes(t *testing.T) {
	files := func(_ context.Context, askEngine bool) ([]WorkspaceFile, error) {
		if !askEngine {
			return []WorkspaceFile{{Name: "a"}}, nil
		}
		return []WorkspaceFile{{Name: "a"}, {Name: "b", Err: errors.New("b.toml:1:2: what")}, {Name: "B c", Err: errors.New("no name")}}, errors.New("the helper is away")
	}
	if got := all(t, engineOf(t, &fakeEngine{}).Workspaces(files)); got != "workspaces failed: b cannot be read: b.toml:1:2: what -> docker kasm workspace edit b\nworkspaces failed: B c cannot be read: no name -> rename the file, or remove it\nworkspaces failed: not all catalogs could be read: the helper is away\n" {
		t.Errorf("got %s", got)
	}
	if got := all(t, engineOf(t, &fakeEngine{err: errors.New("down")}).Workspaces(files)); got != "workspaces ok: 1 workspace file, all readable\n" {
		t.Errorf("without an engine: %s", got)
	}
	records := push.OpenRecords(t.TempDir())
	if got := all(t, Pushes(records)); got != "pushes ok: none waits to be resumed\n" {
		t.Errorf("got %s", got)
	}
	if err := records.Save(push.Record{Image: "reg.example/x:1", EngineID: "e", Reason: "registry down"}); err != nil {
		t.Fatal(err)
	}
	if got := all(t, Pushes(records)); got != "pushes warning: the push of reg.example/x:1 waits to be resumed: registry down -> docker kasm push reg.example/x:1\n" {
		t.Errorf("got %s", got)
	}
}

type fakeHelper struct {
	version    string
	err, ready error
}

func (h fakeHelper) Version(context.Context) (helperapi.VersionInfo, error) {
	return helperapi.VersionInfo{Version: h.version}, h.err
}
func (h fakeHelper) Ready(context.Context) error { return h.ready }

func TestHelper(t *testing.T) {
	for name, c := range map[string]struct {
		helper fakeHelper
		err    error
		want   string
	}{
		"none":      {fakeHelper{}, dial.ErrNone, "helper ok: not installed"},
		"away":      {fakeHelper{}, errors.New("x"), "helper failed: it cannot be reached: x"},
		"silent":    {fakeHelper{err: errors.New("x")}, nil, "helper failed: it does not answer: x"},
		"not ready": {fakeHelper{version: "v1.2.0", ready: errors.New("x")}, nil, "helper failed: helper v1.2.0: x"},
		"older":     {fakeHelper{version: "v1.1.0"}, nil, "helper warning: helper v1.1.0 is older than this plugin (v1.2.0) -> docker kasm helper upgrade"},
		"newer":     {fakeHelper{version: "v1.3.0"}, nil, "helper warning: helper v1.3.0 is newer than this plugin (v1.2.0) -> upgrade the plugin"},
		"the same":  {fakeHelper{version: "v1.2.0"}, nil, "helper ok: helper v1.2.0 is ready"},
		"built":     {fakeHelper{version: "dev"}, nil, "helper ok: helper dev is ready"},
	} {
		t.Run(name, func(t *testing.T) {
			check := engineOf(t, &fakeEngine{}).Helper("v1.2.0", func(context.Context) (HelperAPI, error) { return c.helper, c.err })
			if got := all(t, check); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestWhatOthersSayIsOneLine(t *testing.T) {
	const said = "stderr=ssh: no such host\r\nssh: giving up\r\n"
	for _, found := range [][]Finding{failed("", "%s", said), warning("", "%s", said)} {
		if want := "stderr=ssh: no such host ssh: giving up"; found[0].Text != want {
			t.Errorf("got %q", found[0].Text)
		}
	}
}
