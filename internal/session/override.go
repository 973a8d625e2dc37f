package session

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/go-connections/nat"

	"github.com/docker-kasm/docker-kasm/internal/runspec"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Overrides are settings of one launch, in the notation of `docker run`. They
// come on top of the workspace's; what is about the same thing replaces it.
type Overrides struct {
	// Env are NAME=VALUE, which replace the variables of that name, or NAME
	// alone, which takes it away from the image, too.
	Env []string
	// Ports replace all publications of the same container ports.
	Ports []string
	// Volumes replace what is mounted at the same paths.
	Volumes []string
	// Ulimits replace the limits of the same names.
	Ulimits []string
	// Networks replace all networks.
	Networks []string
	// CPUs, Memory, ShmSize and GPUs replace the workspace's; nil leaves them. 0
	// and "" are for no limit, and for no GPU.
	CPUs, Memory, ShmSize, GPUs *string
	// Remove has the session deleted once it stops, or not; nil leaves that to
	// the workspace.
	Remove *bool
}

// apply returns a copy of ws with the overrides in it, and its environment as
// the engine takes it, each variable once.
func (o Overrides) apply(ws *workspace.Workspace) (*workspace.Workspace, []string, error) {
	out := *ws
	var err error
	if out.Run.Ports, err = o.ports(ws.Run.Ports); err != nil {
		return nil, nil, err
	}
	if out.Run.Volumes, out.Run.Tmpfs, err = o.mounts(ws.Run); err != nil {
		return nil, nil, err
	}
	name := func(text string) string { name, _, _ := strings.Cut(text, "="); return name }
	out.Resources.Ulimits = replaced(ws.Resources.Ulimits, o.Ulimits, name)
	if len(o.Networks) > 0 {
		out.Run.Networks = o.Networks
	}
	if o.CPUs != nil {
		n, err := runspec.CPUs(*o.CPUs)
		if err != nil {
			return nil, nil, fmt.Errorf("cpus: %w", err)
		}
		out.Resources.CPUs = float64(n) / 1e9
	}
	for text, into := range map[*string]*string{o.Memory: &out.Resources.Memory, o.ShmSize: &out.Resources.ShmSize, o.GPUs: &out.Resources.GPUs} {
		if text != nil {
			*into = *text
		}
	}
	if o.Remove != nil {
		out.Run.Remove = *o.Remove
	}
	var env []string
	for _, k := range slices.Sorted(maps.Keys(ws.Run.Environment)) {
		env = append(env, k+"="+ws.Run.Environment[k])
	}
	return &out, replaced(env, o.Env, name), nil
}

// replaced is theirs without what has a key of ours, and ours, of which the last
// one of a key counts.
func replaced(theirs, ours []string, key func(string) string) []string {
	var out []string
	for _, text := range slices.Concat(theirs, ours) {
		out = append(slices.DeleteFunc(out, func(other string) bool { return key(other) == key(text) }), text)
	}
	return out
}

// ports leaves out the workspace's publications of container ports that are
// published anew. One about a range of ports is taken apart for that.
func (o Overrides) ports(theirs []string) ([]string, error) {
	ours, _, err := runspec.Ports(o.Ports)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, text := range theirs {
		exposed, bindings, err := runspec.Ports([]string{text})
		if err != nil {
			return nil, fmt.Errorf("run.ports: %w", err)
		}
		same := func(port nat.Port) bool { _, ok := ours[port]; return ok }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(exposed)), same) {
			out = append(out, text)
			continue
		}
		for _, port := range slices.Sorted(maps.Keys(exposed)) {
			if same(port) {
				continue
			}
			for _, b := range bindings[port] {
				host := b.HostIP
				if strings.Contains(host, ":") {
					host = "[" + host + "]"
				}
				out = append(out, host+":"+b.HostPort+":"+string(port))
			}
		}
	}
	return append(out, o.Ports...), nil
}

// mounts leaves out what the workspace mounts where another volume comes.
func (o Overrides) mounts(run workspace.Run) (volumes, tmpfs []string, err error) {
	ours := map[string]bool{}
	target := func(text string) string {
		v, _ := runspec.ParseVolume(text)
		return path.Clean(v.Target)
	}
	for _, text := range o.Volumes {
		if _, err := runspec.ParseVolume(text); err != nil {
			return nil, nil, err
		}
		ours[target(text)] = true
	}
	volumes = replaced(run.Volumes, o.Volumes, target)
	tmpfs = slices.DeleteFunc(slices.Clone(run.Tmpfs), func(text string) bool { return ours[runspec.TmpfsTarget(text)] })
	if len(tmpfs) == 0 && len(run.Tmpfs) > 0 {
		tmpfs = nil // an empty list would say that none is wanted at /tmp
	}
	return volumes, tmpfs, nil
}
