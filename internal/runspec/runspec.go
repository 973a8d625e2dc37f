// Package runspec reads values in the notation of `docker run`, as they stand in
// a workspace file and on a command line.
package runspec

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/docker/cli/opts"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

// CPUs reads what --cpus takes, such as "1.5", as billionths of a processor.
func CPUs(text string) (int64, error) {
	n, err := opts.ParseCPUs(text)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, fmt.Errorf("%q is no number of processors", text)
	}
	return n, nil
}

// Size reads what --memory and --shm-size take, such as "512m", in bytes.
func Size(text string) (int64, error) {
	var size opts.MemBytes
	if err := size.Set(text); err != nil {
		return 0, fmt.Errorf("%q is no size: write it like 512m or 2g", text)
	}
	return size.Value(), nil
}

// GPUs reads what --gpus takes, such as "all" or "device=0"; "" is for none.
func GPUs(text string) ([]container.DeviceRequest, error) {
	if text == "" {
		return nil, nil
	}
	var gpus opts.GpuOpts
	if err := gpus.Set(text); err != nil {
		return nil, err
	}
	return gpus.Value(), nil
}

// Ulimits reads what --ulimit takes, such as "nofile=1024:2048". Of several for
// one limit the last one counts; they are sorted by name.
func Ulimits(texts []string) ([]*container.Ulimit, error) {
	limits := map[string]*container.Ulimit{}
	parsed := opts.NewUlimitOpt(&limits)
	for _, text := range texts {
		if err := parsed.Set(text); err != nil {
			return nil, err
		}
	}
	var list []*container.Ulimit
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		list = append(list, limits[name])
	}
	return list, nil
}

// Ports reads what --publish takes, in its short and its long form, such as
// "127.0.0.1::6901" and "target=6901,published=8080".
func Ports(texts []string) (nat.PortSet, nat.PortMap, error) {
	short := make([]string, len(texts))
	for i, text := range texts {
		var err error
		if short[i], err = shortPort(text); err != nil {
			return nil, nil, err
		}
	}
	return nat.ParsePortSpecs(short)
}

func shortPort(text string) (string, error) {
	if !strings.Contains(text, "=") {
		return text, nil
	}
	fields := map[string]string{"protocol": "tcp"}
	for field := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(field, "=")
		if !ok || !slices.Contains([]string{"target", "published", "protocol", "mode"}, key) {
			return "", fmt.Errorf("%q is no part of a published port: use target, published and protocol", field)
		}
		fields[key] = value
	}
	if fields["target"] == "" {
		return "", fmt.Errorf("a published port needs a target: %s", text)
	}
	return fields["published"] + ":" + fields["target"] + "/" + fields["protocol"], nil
}

// Volume is what --volume takes, read as far as a launch has to know it; the
// engine reads all of it.
type Volume struct {
	// Source is a path or a volume's name, "" for an anonymous volume.
	Source string
	// Target is the path in the session.
	Target string
	// Options are what follows, such as "ro".
	Options string
}

// ParseVolume reads what --volume takes, such as "home:/root:ro".
func ParseVolume(text string) (Volume, error) {
	var parts []string
	for part := range strings.SplitSeq(text, ":") {
		// The drive of a path on Windows; no volume has a name of one letter.
		if last := len(parts) - 1; last >= 0 && len(parts[last]) == 1 && isLetter(parts[last][0]) && strings.HasPrefix(part, `\`) {
			parts[last] += ":" + part
			continue
		}
		parts = append(parts, part)
	}
	v := Volume{Target: parts[0]}
	if len(parts) > 1 {
		v = Volume{Source: parts[0], Target: parts[1], Options: strings.Join(parts[2:], ":")}
	}
	switch {
	case len(parts) > 3 || slices.Contains(parts, ""):
		return v, fmt.Errorf("%q is no volume: write it as [SOURCE:]TARGET[:OPTIONS]", text)
	case !path.IsAbs(v.Target) && !strings.Contains(v.Target, `:\`):
		return v, fmt.Errorf("%q is no volume: %q is no absolute path", text, v.Target)
	}
	return v, nil
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// String writes the volume as it is read.
func (v Volume) String() string {
	text := v.Target
	if v.Source != "" {
		text = v.Source + ":" + text
	}
	if v.Options != "" {
		text += ":" + v.Options
	}
	return text
}

// TmpfsTarget is the path that a value of --tmpfs is about.
func TmpfsTarget(text string) string {
	target, _, _ := strings.Cut(text, ":")
	return path.Clean(target)
}

// Networks reads what --network takes, such as "web" or "name=web,alias=desktop".
// The first one is the mode; the settings are nil where the mode says it all.
func Networks(texts []string) (container.NetworkMode, *network.NetworkingConfig, error) {
	if len(texts) == 0 {
		return "", nil, nil
	}
	var parsed opts.NetworkOpt
	for _, text := range texts {
		if err := parsed.Set(text); err != nil {
			return "", nil, err
		}
	}
	endpoints := map[string]*network.EndpointSettings{}
	own := 0
	for _, n := range parsed.Value() {
		if strings.TrimSpace(n.Target) == "" {
			return "", nil, errors.New("a network needs a name")
		}
		if _, twice := endpoints[n.Target]; twice {
			return "", nil, fmt.Errorf("network %q is given twice", n.Target)
		}
		endpoint, err := endpointOf(n)
		if err != nil {
			return "", nil, err
		}
		endpoints[n.Target] = endpoint
		if container.NetworkMode(n.Target).IsUserDefined() {
			own++
		}
	}
	mode := container.NetworkMode(parsed.NetworkMode())
	switch {
	case own != 0 && own != len(endpoints):
		return "", nil, errors.New("a session cannot be in a network of your own and in one of the engine's, such as host, at the same time")
	case len(endpoints) == 1 && bare(parsed.Value()[0]):
		// Engines before API 1.44 want no settings for a mode such as host.
		return mode, nil, nil
	}
	return mode, &network.NetworkingConfig{EndpointsConfig: endpoints}, nil
}

// bare tells whether only the network's name is given.
func bare(n opts.NetworkAttachmentOpts) bool {
	return len(n.Aliases)+len(n.DriverOpts)+len(n.LinkLocalIPs) == 0 && n.IPv4Address == "" && n.IPv6Address == "" && n.MacAddress == "" && n.GwPriority == 0
}

func endpointOf(n opts.NetworkAttachmentOpts) (*network.EndpointSettings, error) {
	if len(n.Aliases) > 0 && !container.NetworkMode(n.Target).IsUserDefined() {
		return nil, fmt.Errorf("network %q takes no aliases: only networks of your own do", n.Target)
	}
	if n.MacAddress != "" {
		if _, err := net.ParseMAC(n.MacAddress); err != nil {
			return nil, fmt.Errorf("%q is no MAC address", n.MacAddress)
		}
	}
	endpoint := &network.EndpointSettings{Aliases: n.Aliases, DriverOpts: n.DriverOpts, MacAddress: n.MacAddress, GwPriority: n.GwPriority}
	if n.IPv4Address != "" || n.IPv6Address != "" || len(n.LinkLocalIPs) > 0 {
		endpoint.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: n.IPv4Address, IPv6Address: n.IPv6Address, LinkLocalIPs: n.LinkLocalIPs}
	}
	return endpoint, nil
}
