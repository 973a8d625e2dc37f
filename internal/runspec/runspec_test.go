package runspec

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/go-connections/nat"
)

func TestPortsInBothForms(t *testing.T) {
	for text, want := range map[string]struct {
		port    nat.Port
		binding nat.PortBinding
	}{
		"6901":                       {"6901/tcp", nat.PortBinding{}},
		"8080:6901":                  {"6901/tcp", nat.PortBinding{HostPort: "8080"}},
		"127.0.0.1::6901":            {"6901/tcp", nat.PortBinding{HostIP: "127.0.0.1"}},
		"[::1]:8080:6901/udp":        {"6901/udp", nat.PortBinding{HostIP: "::1", HostPort: "8080"}},
		"target=6901,published=8080": {"6901/tcp", nat.PortBinding{HostPort: "8080"}},
		"target=6901":                {"6901/tcp", nat.PortBinding{}},
		"published=1,target=2,protocol=udp,mode=ingress": {"2/udp", nat.PortBinding{HostPort: "1"}},
	} {
		exposed, bindings, err := Ports([]string{text})
		if _, ok := exposed[want.port]; err != nil || !ok || len(bindings[want.port]) != 1 || bindings[want.port][0] != want.binding {
			t.Errorf("%s: got %v, %v; want %v", text, bindings, err, want)
		}
	}
	for _, text := range []string{"x", "1:2:3:4", "70000", "target=x", "published=1", "target=1,to=2", "a=b"} {
		if _, got, err := Ports([]string{text}); err == nil {
			t.Errorf("%s was taken as %v", text, got)
		}
	}
}

func TestVolumes(t *testing.T) {
	for text, want := range map[string]Volume{
		"/scratch":            {"", "/scratch", ""},
		"home:/root":          {"home", "/root", ""},
		"/srv/a:/b:ro":        {"/srv/a", "/b", "ro"},
		`C:\data:/data:ro`:    {`C:\data`, "/data", "ro"},
		`C:\data:D:\data`:     {`C:\data`, `D:\data`, ""},
		"home:/root:rw,z":     {"home", "/root", "rw,z"},
		`\\.\pipe\x:\\.\pipe`: {},
	} {
		got, err := ParseVolume(text)
		if want.Target == "" {
			if err == nil {
				t.Errorf("%s was taken as %+v", text, got)
			}
			continue
		}
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %+v (%s), %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", ":", "a:", ":/b", "home", "a:b", "/a:/b:ro:x", "/a::ro"} {
		if got, err := ParseVolume(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		texts     []string
		mode      string
		endpoints []string
		refused   string
	}{
		{nil, "", nil, ""},
		{[]string{"host"}, "host", nil, ""},
		{[]string{"web"}, "web", nil, ""},
		{[]string{"name=web"}, "web", nil, ""},
		{[]string{"name=web,alias=desktop"}, "web", []string{"web"}, ""},
		{[]string{"name=web,ip=10.0.0.7"}, "web", []string{"web"}, ""},
		{[]string{"a", "b"}, "a", []string{"a", "b"}, ""},
		{[]string{"a", "a"}, "", nil, "given twice"},
		{[]string{"a", "host"}, "", nil, "at the same time"},
		{[]string{"name=host,alias=x"}, "", nil, "takes no aliases"},
		{[]string{"name=a,mac-address=zz"}, "", nil, "no MAC address"},
		{[]string{"alias=x"}, "", nil, "not specified"},
		{[]string{"name=a,what=x"}, "", nil, "invalid field key"},
		{[]string{" "}, "", nil, "needs a name"},
	} {
		mode, config, err := Networks(c.texts)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q: got %v, want %q", c.texts, err, c.refused)
			}
			continue
		}
		var names []string
		if config != nil {
			for name := range config.EndpointsConfig {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		if err != nil || string(mode) != c.mode || !slices.Equal(names, c.endpoints) {
			t.Errorf("%q: got %q, %q, %v", c.texts, mode, names, err)
		}
	}
}

func TestResources(t *testing.T) {
	if n, err := CPUs("0.5"); err != nil || n != 500_000_000 {
		t.Errorf("half a processor is %d, %v", n, err)
	}
	for _, text := range []string{"", "x", "-1", "0.0000000001"} {
		if n, err := CPUs(text); err == nil {
			t.Errorf("%q processors were taken as %d", text, n)
		}
	}
	if n, err := Size("512m"); err != nil || n != 512<<20 {
		t.Errorf("512m is %d, %v", n, err)
	}
	for _, text := range []string{"", "x", "-1", "1q"} {
		if n, err := Size(text); err == nil {
			t.Errorf("size %q was taken as %d", text, n)
		}
	}
	if g, err := GPUs("device=0,capabilities=compute"); err != nil || len(g) != 1 || g[0].DeviceIDs[0] != "0" {
		t.Errorf("a device is %+v, %v", g, err)
	}
	if g, err := GPUs(""); err != nil || g != nil {
		t.Errorf("none is %+v, %v", g, err)
	}
	if g, err := GPUs("some"); err == nil {
		t.Errorf("some GPUs were taken as %+v", g)
	}
	limits, err := Ulimits([]string{"nofile=1:2", "core=0", "nofile=3"})
	if err != nil || len(limits) != 2 || limits[0].Name != "core" || limits[1].Soft != 3 || limits[1].Hard != 3 {
		t.Errorf("ulimits are %v, %v", limits, err)
	}
	if _, err := Ulimits([]string{"nofile=2:1"}); err == nil {
		t.Error("a soft limit above the hard one was taken")
	}
}
