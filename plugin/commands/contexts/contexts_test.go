package contexts

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/cli/cli/flags"
	"github.com/spf13/cobra"
)

// newCLI is a docker CLI with a configuration of its own, and contexts in it.
func newCLI(t *testing.T, hosts map[string]string) *command.DockerCli {
	t.Helper()
	before := config.Dir()
	t.Cleanup(func() { config.SetDir(before) })
	t.Setenv("DOCKER_HOST", "")
	cli, err := command.NewDockerCli(command.WithOutputStream(io.Discard), command.WithErrorStream(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	config.SetDir(t.TempDir())
	if err := cli.Initialize(flags.NewClientOptions()); err != nil {
		t.Fatal(err)
	}
	for name, host := range hosts {
		meta := store.Metadata{Name: name, Metadata: command.DockerContext{}, Endpoints: map[string]any{docker.DockerEndpoint: docker.EndpointMeta{Host: host}}}
		if err := cli.ContextStore().CreateOrUpdate(meta); err != nil {
			t.Fatal(err)
		}
	}
	return cli
}

// parse runs a command that has the flags, and returns them.
func parse(t *testing.T, cli command.Cli, args ...string) (*Options, error) {
	t.Helper()
	var o Options
	root := &cobra.Command{Use: "docker", SilenceErrors: true, SilenceUsage: true}
	root.Flags().String("host", "", "")
	root.Flags().String("context", "", "")
	root.TraverseChildren = true
	ls := &cobra.Command{Use: "ls", RunE: func(*cobra.Command, []string) error { return nil }}
	o.Install(ls, cli)
	root.AddCommand(ls)
	root.SetArgs(args)
	return &o, root.Execute()
}

// open returns the contexts that flags name.
func openSet(t *testing.T, cli command.Cli, args ...string) *Set {
	t.Helper()
	o, err := parse(t, cli, append([]string{"ls"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	set, err := o.Open(cli)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

// engine answers a ping, and hands every request on.
func engine(t *testing.T, seen func(*http.Request)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen != nil {
			seen(r)
		}
		w.Header().Set("Api-Version", "1.41")
	}))
	t.Cleanup(server.Close)
	return "tcp://" + server.Listener.Addr().String()
}

func damage(t *testing.T, cli command.Cli, name, text string) {
	t.Helper()
	file := filepath.Join(cli.ContextStore().GetStorageInfo(name).MetadataPath, "meta.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	cli := newCLI(t, nil)
	for args, want := range map[string]string{
		"ls":                "",
		"ls --all-contexts": "",
		"ls --contexts default --context-timeout 3s":    "",
		"ls --contexts default --all-contexts":          "cannot specify both --all-contexts and --contexts",
		"--host unix:///x ls --contexts default":        "cannot specify both --host and --contexts",
		"--context x ls --all-contexts":                 "cannot specify both --context and --all-contexts",
		"--context x ls":                                "",
		"ls --context-timeout 3s":                       "--context-timeout is for",
		"ls --contexts default --context-timeout 0s":    "use more than 0",
		"ls --contexts=":                                "names no context",
		"ls --contexts default,x/y":                     `invalid value "x/y" for --contexts`,
		"ls --contexts default --contexts another,more": "",
	} {
		_, err := parse(t, cli, strings.Fields(args)...)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, not %q", args, err, want)
		}
	}
}

func TestAllContextsAreThoseOfTheStoreAndTheDefault(t *testing.T) {
	cli := newCLI(t, map[string]string{"b10": "unix:///b", "b9": "unix:///b", "aa": "unix:///a"})
	if got, want := openSet(t, cli, "--all-contexts").Names(), []string{"aa", "b9", "b10", "default"}; !slices.Equal(got, want) {
		t.Errorf("all: %q, not %q", got, want)
	}
	if got, want := openSet(t, cli, "--contexts", "b10,aa,b10").Names(), []string{"aa", "b10"}; !slices.Equal(got, want) {
		t.Errorf("some: %q, not %q", got, want)
	}
	o, err := parse(t, cli, "ls", "--contexts", "aa,nosuch")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open(cli); err == nil || !strings.Contains(err.Error(), `no context "nosuch"`) {
		t.Errorf("a name that is misspelled: %v", err)
	}
}

func TestADamagedContextHidesNoOther(t *testing.T) {
	cli := newCLI(t, map[string]string{"good": engine(t, nil), "torn": "unix:///x", "typed": "unix:///x", "wordless": "unix:///x"})
	damage(t, cli, "torn", `{"Name":"to`)
	damage(t, cli, "typed", `{"Name":"typed","Endpoints":3}`)
	damage(t, cli, "wordless", `{"Name":"wordless","Endpoints":{}}`)
	errs := map[string]string{}
	for _, a := range Ask(t.Context(), openSet(t, cli, "--all-contexts"), func(context.Context, *Context, func()) (string, error) { return "", nil }) {
		errs[a.Context.CurrentContext()] = ""
		if a.Err != nil {
			errs[a.Context.CurrentContext()] = a.Err.Error()
		}
	}
	folder := filepath.Base(cli.ContextStore().GetStorageInfo("torn").MetadataPath)[:12]
	for name, want := range map[string]string{
		folder: "is damaged: unexpected end of JSON input", "typed": "cannot unmarshal number", "wordless": "cannot find docker endpoint",
	} {
		if !strings.Contains(errs[name], want) {
			t.Errorf("%s: %q, not %q", name, errs[name], want)
		}
	}
	if err, ok := errs["good"]; !ok || err != "" {
		t.Errorf("the good one is hidden: %v", errs)
	}
}

func TestEveryContextGetsTheHeadersOfTheConfiguration(t *testing.T) {
	got := make(chan http.Header, 4)
	cli := newCLI(t, map[string]string{"far": engine(t, func(r *http.Request) { got <- r.Header })})
	cli.ConfigFile().HTTPHeaders = map[string]string{"X-Meta": "from-config"}
	ask := func() http.Header {
		t.Helper()
		a := Ask(t.Context(), openSet(t, cli, "--contexts", "far"), func(_ context.Context, c *Context, _ func()) (string, error) { return c.CurrentVersion(), nil })
		if a[0].Err != nil || a[0].Result != "1.41" {
			t.Fatalf("version %q: %v", a[0].Result, a[0].Err)
		}
		return <-got
	}
	if h := ask(); h.Get("X-Meta") != "from-config" || !strings.HasPrefix(h.Get("User-Agent"), "Docker-Client/") {
		t.Errorf("headers: %v", h)
	}
	t.Setenv("DOCKER_CUSTOM_HEADERS", `x-one=1,"x-two=a,b"`)
	if h := ask(); h.Get("X-Meta") != "" || h.Get("X-One") != "1" || h.Get("X-Two") != "a,b" {
		t.Errorf("custom headers: %v", h)
	}
	t.Setenv("DOCKER_CUSTOM_HEADERS", "x")
	o, err := parse(t, cli, "ls", "--contexts", "far")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open(cli); err == nil || !strings.Contains(err.Error(), `"x" is not KEY=VALUE`) {
		t.Errorf("a header without a value: %v", err)
	}
}

func TestTheDefaultContextIsWhatDOCKERHOSTSays(t *testing.T) {
	host := engine(t, nil)
	cli := newCLI(t, nil)
	t.Setenv("DOCKER_HOST", host)
	a := Ask(t.Context(), openSet(t, cli, "--all-contexts"), func(_ context.Context, c *Context, _ func()) (string, error) {
		return c.DockerEndpoint().Host + " " + c.Client().DaemonHost() + " " + Name(c), nil
	})
	if want := host + " " + host + " default"; len(a) != 1 || a[0].Result != want {
		t.Errorf("got %+v, not %s", a, want)
	}
	if Name(cli) != "" || Label(cli, "s") != "s" || Label(a[0].Context, "s") != "default/s" {
		t.Error("what a command was not told it names, or not what it was told")
	}
}

func TestAContextThatSaysNothingIsNotWaitedFor(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cli := newCLI(t, map[string]string{"aa": "tcp://" + silent.Addr().String(), "bb": engine(t, nil), "cc": "unix:///nowhere/docker.sock"})
	set := openSet(t, cli, "--contexts", "aa,bb,cc", "--context-timeout", "1s")
	answers := Ask(t.Context(), set, func(_ context.Context, c *Context, _ func()) (string, error) { return c.CurrentContext(), nil })
	if err := answers[0].Err; err == nil || err.Error() != "no answer within 1s" {
		t.Errorf("silent: %v", err)
	}
	if answers[1].Result != "bb" || answers[1].Err != nil {
		t.Errorf("good: %+v", answers[1])
	}
	if err := answers[2].Err; err == nil || !strings.Contains(err.Error(), "Cannot connect to the Docker daemon at unix:///nowhere/docker.sock") {
		t.Errorf("gone: %v", err)
	}
}

func TestCompletionOfAListOfContexts(t *testing.T) {
	cli := newCLI(t, map[string]string{"one": "unix:///1", "two": "unix:///2", "torn": "unix:///3"})
	damage(t, cli, "torn", "{")
	for typed, want := range map[string][]string{
		"":             {"default", "one", "two"},
		"one,t":        {"one,default", "one,two"},
		"two,default,": {"two,default,one"},
	} {
		if got, _ := completeList(cli)(nil, nil, typed); !slices.Equal(got, want) {
			t.Errorf("%q: %q, not %q", typed, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for arg, want := range map[string][2]string{
		"name": {"", "name"}, "far/name": {"far", "name"}, "/name": {"", "/name"}, "far/": {"far", ""}, "far//name": {"far", "/name"},
	} {
		if context, name := Split(arg); [2]string{context, name} != want {
			t.Errorf("%q: %q %q", arg, context, name)
		}
	}
}

func TestMarshalledFailure(t *testing.T) {
	data, err := json.Marshal(failed(Header(map[string]string{"ID": "X"}), "far", &silentError{10 * time.Second}))
	if err != nil || string(data) != `{"Context":"far","Error":"no answer within 10s"}` {
		t.Errorf("%s %v", data, err)
	}
}
