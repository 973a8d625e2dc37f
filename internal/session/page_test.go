package session

import (
	"errors"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// inspected is a container that exposes ports and publishes some.
func inspected(exposed []nat.Port, published nat.PortMap) container.InspectResponse {
	set := nat.PortSet{}
	for _, p := range exposed {
		set[p] = struct{}{}
	}
	settings := &container.NetworkSettings{}
	settings.Ports = published
	return container.InspectResponse{Config: &container.Config{ExposedPorts: set}, NetworkSettings: settings}
}

func TestPagesAreFound(t *testing.T) {
	at := func(bindings ...nat.PortBinding) []nat.PortBinding { return bindings }
	kasm := []nat.Port{"4901/tcp", "5901/tcp", "6901/tcp"}
	for name, c := range map[string]struct {
		open      string
		port      uint16
		exposed   []nat.Port
		published nat.PortMap
		// want is the address at the engine, "" if the ports are not published;
		// forwarded is that with each port n forwarded to n+10000.
		want, forwarded string
		local           bool
	}{
		"the template": {
			open: "https://localhost:{6901}/x?y=z", published: nat.PortMap{"6901/tcp": at(nat.PortBinding{HostIP: "0.0.0.0", HostPort: "32768"})},
			want: "https://localhost:32768/x?y=z", forwarded: "https://localhost:16901/x?y=z", local: true,
		},
		"the template's loopback address stays": {
			open: "http://127.0.0.1:{80}/", published: nat.PortMap{"80/tcp": at(nat.PortBinding{HostIP: "127.0.0.1", HostPort: "8080"})},
			want: "http://127.0.0.1:8080/", forwarded: "http://127.0.0.1:10080/", local: true,
		},
		"published on one address of the host": {
			open: "https://localhost:{6901}/", published: nat.PortMap{"6901/tcp": at(nat.PortBinding{HostIP: "192.0.2.7", HostPort: "6901"})},
			want: "https://192.0.2.7:6901/", forwarded: "https://localhost:16901/", local: true,
		},
		"the loopback is preferred": {
			port: 80, published: nat.PortMap{"80/tcp": at(nat.PortBinding{HostIP: "192.0.2.7", HostPort: "1"}, nat.PortBinding{HostIP: "::", HostPort: "2"})},
			want: "http://localhost:2/", forwarded: "http://localhost:10080/", local: true,
		},
		"a template of another host": {
			open: "https://desks.example.com:{6901}/", published: nat.PortMap{"6901/tcp": at(nat.PortBinding{HostPort: "32768"})},
			want: "https://desks.example.com:32768/", forwarded: "https://localhost:16901/",
		},
		"a template with a fixed address": {open: "https://desks.example.com/a", want: "https://desks.example.com/a", forwarded: "https://desks.example.com/a"},
		"a port in a path": {
			open: "https://proxy.example.com/{80}/", published: nat.PortMap{"80/tcp": at(nat.PortBinding{HostPort: "32768"})},
			want: "https://proxy.example.com/32768/", forwarded: "https://proxy.example.com/10080/",
		},
		"two ports": {
			open: "http://localhost:{80}/?ws={0081}", published: nat.PortMap{"80/tcp": at(nat.PortBinding{HostPort: "1"}), "81/tcp": at(nat.PortBinding{HostPort: "2"})},
			want: "http://localhost:1/?ws=2", forwarded: "http://localhost:10080/?ws=10081", local: true,
		},
		"a template's port that is not published": {open: "https://localhost:{6901}/", exposed: kasm, forwarded: "https://localhost:16901/", local: true},
		"Kasm's port": {
			exposed: kasm, published: nat.PortMap{"4901/tcp": at(nat.PortBinding{HostPort: "4901"}), "6901/tcp": at(nat.PortBinding{HostPort: "443"})},
			want: "https://localhost:443/", forwarded: "https://localhost:16901/", local: true,
		},
		"the lowest that is published": {
			exposed: []nat.Port{"22/tcp", "53/udp"}, published: nat.PortMap{"22/tcp": nil, "8080/tcp": at(nat.PortBinding{HostPort: "5"}), "9090/tcp": at(nat.PortBinding{HostPort: "4"})},
			want: "http://localhost:5/", forwarded: "http://localhost:18080/", local: true,
		},
		"the lowest that is exposed": {exposed: []nat.Port{"53/udp", "8888/tcp", "5901/tcp"}, forwarded: "vnc://localhost:15901/", local: true},
		"one that is named":          {port: 8443, open: "https://localhost:{6901}/", exposed: kasm, forwarded: "https://localhost:18443/", local: true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := FindPage(Session{Name: "s", Open: c.open}, inspected(c.exposed, c.published), c.port)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.AtEngine()
			if got != c.want || p.Published() != (c.want != "") || (err == nil) != (c.want != "") {
				t.Errorf("at the engine it is %q (published: %v), want %q: %v", got, p.Published(), c.want, err)
			}
			ports := map[uint16]uint16{}
			for _, port := range p.Ports {
				ports[port] = port + 10000
			}
			if got, err := p.Forwarded(ports); got != c.forwarded || err != nil {
				t.Errorf("forwarded it is %q, want %q: %v", got, c.forwarded, err)
			}
			if p.Local() != c.local {
				t.Errorf("local: %v", p.Local())
			}
		})
	}
}

func TestSessionsWithoutAPageSayWhatToDo(t *testing.T) {
	if _, err := FindPage(Session{Name: "s"}, inspected([]nat.Port{"53/udp"}, nil), 0); !errors.Is(err, ErrNoPage) {
		t.Error(err)
	}
	for _, open := range []string{"http://localhost:{0}/", "http://localhost:{65536}/"} {
		if _, err := FindPage(Session{Name: "s", Open: open}, inspected(nil, nil), 0); err == nil {
			t.Errorf("%s has no port that there can be", open)
		}
	}
	p, err := FindPage(Session{Name: "s", Open: "\x1b]0;{80}"}, inspected(nil, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	if address, err := p.Forwarded(map[uint16]uint16{80: 1}); err == nil {
		t.Errorf("%q is no address", address)
	}
}
