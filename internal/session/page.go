package session

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Page is how what a session shows is reached: by an address in which ports of the
// session may stand.
type Page struct {
	// Template is the address, with {PORT} for each of Ports.
	Template string
	// Ports are TCP ports of the session.
	Ports []uint16
	// published has where the engine's host publishes ports.
	published map[uint16]nat.PortBinding
}

// kasmPort is where Kasm's images show their desktop.
const kasmPort = 6901

// ErrNoPage means that nothing is known of where a session shows what it has.
var ErrNoPage = errors.New("it has no TCP port that is known: name one, as in `docker kasm open SESSION 8080`, or set run.open in its workspace")

// FindPage tells how the page of s is reached, given the inspection of its
// container: by a port if that is not 0, else by the template of its workspace, the
// port of Kasm's desktops, the lowest port that is published, or the lowest exposed.
func FindPage(s Session, c container.InspectResponse, port uint16) (Page, error) {
	p := Page{published: published(c)}
	if port == 0 && s.Open != "" {
		p.Template = s.Open
		for _, place := range workspace.PortPlace.FindAllStringSubmatch(s.Open, -1) {
			n, err := strconv.ParseUint(place[1], 10, 16)
			if err != nil || n == 0 {
				return Page{}, fmt.Errorf("open session %q: its address %q has no port %s that there can be", s.Name, s.Open, place[1])
			}
			if !slices.Contains(p.Ports, uint16(n)) {
				p.Ports = append(p.Ports, uint16(n))
			}
		}
		return p, nil
	}
	if port == 0 {
		exposed := ExposedPorts(c)
		byPort := slices.Sorted(maps.Keys(p.published))
		switch {
		case slices.Contains(exposed, kasmPort):
			port = kasmPort
		case len(byPort) > 0:
			port = byPort[0]
		case len(exposed) > 0:
			port = exposed[0]
		default:
			return Page{}, fmt.Errorf("open session %q: %w", s.Name, ErrNoPage)
		}
	}
	p.Ports = []uint16{port}
	p.Template = fmt.Sprintf("%s://localhost:{%d}/", scheme(port), port)
	return p, nil
}

// ExposedPorts are the TCP ports that a container says to listen on, or publishes,
// in order.
func ExposedPorts(c container.InspectResponse) []uint16 {
	found := map[uint16]bool{}
	if c.Config != nil {
		for port := range c.Config.ExposedPorts {
			if port.Proto() == "tcp" && port.Int() > 0 {
				found[uint16(port.Int())] = true //nolint:gosec // a port
			}
		}
	}
	for port := range published(c) {
		found[port] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// scheme is how a port is spoken to that nothing else is known of.
func scheme(port uint16) string {
	switch {
	case port == kasmPort, port == 443, port == 8443:
		return "https"
	case port >= 5900 && port < 5910:
		return "vnc"
	case port == 3389:
		return "rdp"
	}
	return "http"
}

// published has one place on the engine's host for each TCP port of a container
// that is published, on all its addresses or the loopback if there is one.
func published(c container.InspectResponse) map[uint16]nat.PortBinding {
	out := map[uint16]nat.PortBinding{}
	if c.NetworkSettings == nil {
		return out
	}
	for port, bindings := range c.NetworkSettings.Ports {
		if port.Proto() != "tcp" || port.Int() == 0 {
			continue
		}
		for _, b := range bindings {
			if b.HostPort == "" || b.HostPort == "0" {
				continue
			}
			if had, ok := out[uint16(port.Int())]; !ok || loopback(b.HostIP) && !loopback(had.HostIP) { //nolint:gosec // a port
				out[uint16(port.Int())] = b //nolint:gosec // a port
			}
		}
	}
	return out
}

// loopback tells whether what listens on an address is reached by the loopback's.
func loopback(host string) bool {
	if host == "" || host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// Local tells whether the address is meant for the engine's own machine. Any other
// holds from everywhere.
func (p Page) Local() bool {
	u, err := url.Parse(workspace.PortPlace.ReplaceAllString(p.Template, "1"))
	return err == nil && loopback(u.Hostname())
}

// Published tells whether all ports of the address are published.
func (p Page) Published() bool {
	for _, port := range p.Ports {
		if _, ok := p.published[port]; !ok {
			return false
		}
	}
	return true
}

// AtEngine is the address where the engine's host is this one, or where it is not
// that host's own. Without all ports published there is none.
func (p Page) AtEngine() (string, error) {
	return p.fill(func(port uint16) (string, string, bool) {
		b, ok := p.published[port]
		if loopback(b.HostIP) {
			return "", b.HostPort, ok
		}
		return b.HostIP, b.HostPort, ok
	})
}

// Forwarded is the address where ports of the session are forwarded to ports of
// this machine.
func (p Page) Forwarded(ports map[uint16]uint16) (string, error) {
	return p.fill(func(port uint16) (string, string, bool) {
		local, ok := ports[port]
		return "localhost", strconv.Itoa(int(local)), ok
	})
}

// fill puts ports into the template. The host of the address becomes the one of its
// port, "" for the one that is there; a loopback address stays if that is reached
// by any of them.
func (p Page) fill(at func(port uint16) (host, hostPort string, ok bool)) (string, error) {
	where := ""
	var missing error
	authority := workspace.PortPlace.FindAllStringIndex(beforePath(p.Template), -1)
	n := 0
	text := workspace.PortPlace.ReplaceAllStringFunc(p.Template, func(place string) string {
		port, _ := strconv.ParseUint(place[1:len(place)-1], 10, 16) // as FindPage has looked at
		host, hostPort, ok := at(uint16(port))
		if !ok {
			missing = fmt.Errorf("port %d is not published", port)
		}
		if n++; n <= len(authority) {
			where = host
		}
		return hostPort
	})
	if missing != nil {
		return "", missing
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("the address %q is none that can be opened: set run.open in the session's workspace", p.Template)
	}
	if where != "" && (!loopback(where) || !loopback(u.Hostname())) {
		u.Host = net.JoinHostPort(where, u.Port())
	}
	return u.String(), nil
}

// beforePath is an address as far as its host and port.
func beforePath(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	authority, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + authority
}
