package kasmregistry

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t *testing.T, text string) []Item {
	t.Helper()
	icons := &url.URL{Scheme: "https", Host: "registry.example.com", Path: "/1.1/icons"}
	items, err := Parse([]byte(text), icons)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// one parses an entry that has what every entry has, and more.
func one(t *testing.T, more string) Item {
	t.Helper()
	items := parse(t, `{"workspaces": [{"friendly_name": "One", "name": "kasmweb/one:1", `+more+`}]}`)
	if len(items) != 1 {
		t.Fatalf("got %v", items)
	}
	return items[0]
}

func TestBothSchemasAreRead(t *testing.T) {
	for _, schema := range schemas {
		t.Run(schema, func(t *testing.T) {
			items := parse(t, string(read(t, schema+".json")))
			var got strings.Builder
			for _, i := range items {
				if i.Err != nil {
					t.Fatalf("%s: %v", i.Label, i.Err)
				}
				text, err := workspace.Encode(i.Workspace)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("# " + i.Workspace.Name + "\n# left: " + strings.Join(i.Left, ", ") + "\n" + string(text) + "\n")
			}
			if want := string(read(t, schema+".golden")); got.String() != want {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}

func TestASingleWorkspaceIsRead(t *testing.T) {
	items, err := Parse([]byte(`{"friendly_name": "Solo", "name": "kasmweb/solo:1", "image_src": "solo.png"}`), nil)
	if err != nil || len(items) != 1 || items[0].Err != nil {
		t.Fatalf("got %v, %v", items, err)
	}
	ws := items[0].Workspace
	if ws.Name != "solo" || ws.Icon != "" || !slices.Equal(items[0].Left, []string{"image_src"}) {
		t.Errorf("got %+v, left %v", ws, items[0].Left)
	}
}

func TestABadEntryHidesNoGoodOne(t *testing.T) {
	items := parse(t, `{"workspaces": [
		7, null, {}, {"friendly_name": 1}, {"friendly_name": "No image"},
		{"friendly_name": "Upper", "name": "Kasmweb/Upper:1"},
		{"friendly_name": "Control \u001b[2J", "name": "x"},
		{"friendly_name": "Server", "name": "x", "image_type": "Server"},
		{"friendly_name": "Env", "name": "x", "run_config": {"environment": {"A=B": "c"}}},
		{"friendly_name": "Size", "name": "x", "run_config": {"shm_size": "lots"}},
		{"friendly_name": "Memory", "name": "x", "memory": -1},
		{"friendly_name": "Registry", "name": "x", "docker_registry": "https://a b/"},
		{"friendly_name": "Good", "name": "x"}]}`)
	wants := []string{
		"no object", "no object", "friendly_name: missing", "friendly_name: it is not of the kind", "image: missing", "no image reference", "control characters",
		`"Server" is none`, "no name of an environment variable", "resources.shm_size", "memory: -1", "docker_registry",
	}
	if len(items) != len(wants)+1 {
		t.Fatalf("got %v", items)
	}
	for i, want := range wants {
		if err := items[i].Err; err == nil || !strings.Contains(err.Error(), want) || items[i].Workspace != nil {
			t.Errorf("%s: %q is not in: %v", items[i].Label, want, err)
		}
	}
	if good := items[len(wants)]; good.Err != nil || good.Workspace.Name != "good" {
		t.Errorf("got %+v", good)
	}
	if items[0].Label != "number 1" {
		t.Errorf("got %q", items[0].Label)
	}
}

func TestWhatIsNoListIsRefused(t *testing.T) {
	for _, text := range []string{"", "<!doctype html>", "[]", "{}", `{"workspaces": {}}`, "null", `{"workspaces": null}`} {
		if items, err := Parse([]byte(text), nil); err == nil {
			t.Errorf("%q is read as %v", text, items)
		}
	}
	if _, err := Parse(make([]byte, MaxList+1), nil); err == nil {
		t.Error("a list of any size is read")
	}
}

func TestImageIsFullyNamed(t *testing.T) {
	for name, c := range map[string]struct{ entry, want string }{
		"docker hub":                   {`"docker_registry": "https://index.docker.io/v1/"`, "kasmweb/one:1"},
		"no registry":                  {`"docker_registry": ""`, "kasmweb/one:1"},
		"another registry":             {`"docker_registry": "https://ghcr.io/"`, "ghcr.io/kasmweb/one:1"},
		"another registry, bare":       {`"docker_registry": "registry.example.com:5000"`, "registry.example.com:5000/kasmweb/one:1"},
		"another registry's interface": {`"docker_registry": "https://quay.io/v2/"`, "quay.io/kasmweb/one:1"},
		"folder of a registry":         {`"docker_registry": "https://registry.gitlab.com/group"`, "registry.gitlab.com/group/kasmweb/one:1"},
		"image names its registry":     {`"docker_registry": "https://ghcr.io/", "compatibility": [{"version": "1.17.x", "image": "quay.io/a/b:2"}]`, "quay.io/a/b:2"},
		"newest version":               {`"compatibility": [{"version": "1.9.x", "image": "a:9"}, {"version": "1.17.x", "image": "a:17"}, {"version": "1.10.x", "image": "a:10"}]`, "a:17"},
		"any patch is newer than one":  {`"compatibility": [{"version": "1.17.x", "image": "a:x"}, {"version": "1.17.3", "image": "a:3"}]`, "a:x"},
		"versions without images":      {`"compatibility": ["1.13.x", "1.14.x"]`, "kasmweb/one:1"},
		"no version":                   {`"compatibility": [{"image": "a:1"}, null, {"version": "dev", "image": ""}]`, "a:1"},
	} {
		t.Run(name, func(t *testing.T) {
			i := one(t, c.entry)
			if i.Err != nil || i.Workspace.Image != c.want {
				t.Errorf("got %+v, %v", i.Workspace, i.Err)
			}
		})
	}
}

func TestMemoryIsMegabytesOrBytes(t *testing.T) {
	for memory, want := range map[string]string{"2768": "2768m", "2768000000": "2768m", "2768000001": "2768000001", "0": "", "null": ""} {
		if i := one(t, `"memory": `+memory); i.Err != nil || i.Workspace.Resources.Memory != want {
			t.Errorf("%s is %+v, %v", memory, i.Workspace, i.Err)
		}
	}
}

func TestIconsStandBesideTheList(t *testing.T) {
	for src, want := range map[string]string{
		"a.png":                         "https://registry.example.com/1.1/icons/a.png",
		"a b?.png":                      "https://registry.example.com/1.1/icons/a%20b%3F.png",
		"https://cdn.example.com/a.png": "https://cdn.example.com/a.png",
		"../../secret":                  "",
		"javascript:alert(1)":           "https://registry.example.com/1.1/icons/javascript:alert%281%29",
		"..":                            "",
		"":                              "",
	} {
		src, err := json.Marshal(src)
		if err != nil {
			t.Fatal(err)
		}
		if i := one(t, `"image_src": `+string(src)); i.Err != nil || i.Workspace.Icon != want {
			t.Errorf("%s is %+v, %v", src, i.Workspace, i.Err)
		}
	}
}

func TestNothingIsLostWithoutAWord(t *testing.T) {
	i := one(t, `"exec_config": {"go": {"cmd": "rm -rf /"}}, "volume_mappings": {"/": {"bind": "/host"}}, "hidden": true, "notes": "", "x\u001b": 1,
		"session_time_limit": 3600, "cpu_allocation_method": "Shares",
		"run_config": {"hostname": "kasm", "privileged": true, "volumes": {"/": {"bind": "/x"}}, "ports": {"22/tcp": 22}, "environment": ["A=b=c"],
			"tmpfs": {"/scratch": "size=1m", "/b": ""}, "shm_size": 1024, "mem_limit": "1g", "nano_cpus": 1500000000, "devices": [], "dns": null}`)
	if i.Err != nil {
		t.Fatal(i.Err)
	}
	want := []string{
		`"x\x1b"`, "cpu_allocation_method (cores is a limit)", "exec_config", "hidden", "run_config.hostname", "run_config.ports", "run_config.privileged",
		"run_config.volumes", "volume_mappings",
	}
	if !slices.Equal(i.Left, want) {
		t.Errorf("left %q", i.Left)
	}
	ws := i.Workspace
	text, err := workspace.Encode(ws)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`environment = { A = "b=c" }`, `tmpfs = ["/b", "/scratch:size=1m"]`, `shm_size = "1024"`, `memory = "1g"`, "cpus = 1.5", `limit = "1h0m0s"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if len(ws.Run.Volumes) > 0 || len(ws.Hooks.BeforeStop) > 0 || len(ws.Hooks.BeforeSnapshot) > 0 || !slices.Equal(ws.Run.Ports, []string{kasmPort}) {
		t.Errorf("an entry reaches the host: %s", text)
	}
}

func TestNamesAreShortAndUnique(t *testing.T) {
	var names []string
	for _, i := range parse(t, `{"workspaces": [
		{"friendly_name": "Chrome (beta)", "name": "x"}, {"friendly_name": "chrome  BETA", "name": "x"}, {"friendly_name": "Chrome beta 2", "name": "x"}, {"friendly_name": "Chrome beta", "name": "x"},
		{"friendly_name": "日本語", "name": "x"}, {"friendly_name": "日本", "name": "x"}, {"friendly_name": "VS Code", "name": "x"}, {"friendly_name": "`+strings.Repeat("long ", 100)+`", "name": "x"}]}`) {
		if i.Err != nil {
			t.Fatal(i.Err)
		}
		names = append(names, i.Workspace.Name)
	}
	want := []string{"chrome-beta", "chrome-beta-2", "chrome-beta-2-2", "chrome-beta-3", "workspace", "workspace-2", "vs-code", strings.Repeat("long-", 20)[:99]}
	if !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}

func FuzzRegistry(f *testing.F) {
	for _, schema := range schemas {
		f.Add(read(f, schema+".json"))
	}
	f.Add([]byte(`{"friendly_name": "a", "name": "b", "run_config": {"environment": ["A=1"], "tmpfs": ["/x"], "shm_size": 1, "mem_limit": "1g", "nano_cpus": 1e9}}`))
	f.Add([]byte(`{"workspaces": [7, {"friendly_name": "a", "name": "b", "memory": 1e300, "cores": -1, "gpu_count": 0.5, "session_time_limit": 1e9}]}`))
	f.Add([]byte(`{"workspaces": [{"friendly_name": "a\u202e", "name": "b", "docker_registry": "https://c/d", "compatibility": [{"version": "1.x", "image": "e"}], "image_src": "%2e%2e"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		icons := &url.URL{Scheme: "https", Host: "registry.example.com", Path: "/1.1/icons"}
		items, err := Parse(data, icons)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, i := range items {
			for _, l := range i.Left {
				if strings.ContainsFunc(l, unicode.IsControl) {
					t.Fatalf("%q is left", l)
				}
			}
			if (i.Err == nil) != (i.Workspace != nil) || i.Label == "" {
				t.Fatalf("got %+v", i)
			}
			if i.Err != nil {
				continue
			}
			ws := i.Workspace
			if seen[ws.Name] || workspace.ValidName(ws.Name) != nil {
				t.Fatalf("the name %q", ws.Name)
			}
			seen[ws.Name] = true
			if ws.Icon != "" && !strings.HasPrefix(ws.Icon, "https://") && !strings.HasPrefix(ws.Icon, "http://") {
				t.Fatalf("the icon %q", ws.Icon)
			}
			if len(ws.Run.Volumes) > 0 || !slices.Equal(ws.Run.Ports, []string{kasmPort}) {
				t.Fatalf("an entry reaches the host: %+v", ws.Run)
			}
			text, err := workspace.Encode(ws)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := workspace.Decode(ws.Name, "f", text); err != nil {
				t.Fatalf("%v in:\n%s", err, text)
			}
		}
	})
}
