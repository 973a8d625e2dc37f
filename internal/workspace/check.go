package workspace

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/docker-kasm/docker-kasm/internal/runspec"
)

// check lists the values that are out of range.
func (w *Workspace) check() []problem {
	c := &checker{}
	for _, t := range []struct{ key, value string }{
		{"friendly_name", w.FriendlyName}, {"description", w.Description}, {"icon", w.Icon}, {"run.open", w.Run.Open},
		{"url", w.URL}, {"snapshot.of", w.snapshot().Of}, {"snapshot.parent", w.snapshot().Parent},
	} {
		c.text(t.key, t.value)
	}
	for key, list := range map[string][]string{
		"categories": w.Categories, "run.volumes": w.Run.Volumes, "run.tmpfs": w.Run.Tmpfs,
		"run.ports": w.Run.Ports, "run.networks": w.Run.Networks, "resources.ulimits": w.Resources.Ulimits, "hooks.before_stop": w.Hooks.BeforeStop, "hooks.before_snapshot": w.Hooks.BeforeSnapshot,
	} {
		for _, v := range list {
			c.text(key, v)
		}
	}
	c.oneOf("type", string(w.Type), string(TypeContainer), string(TypeServer), string(TypeLink))
	c.oneOf("pull", string(w.Pull), string(PullAlways), string(PullMissing), string(PullNever))
	c.oneOf("lifetime.on_expiry", w.Lifetime.OnExpiry, "", OnExpiryStop, OnExpiryPause, OnExpiryDelete)
	if idle := time.Duration(w.Lifetime.Idle); idle != 0 && idle < MinIdle {
		c.add("lifetime.idle", "%s is too short: activity is looked at once a minute, so use 1m or more", idle)
	}
	c.target(w)
	c.resources(w.Resources)
	c.run(w.Run)
	for key, d := range map[string]string{"snapshot.image_id": w.snapshot().ImageID, "snapshot.digest": w.snapshot().Digest} {
		if _, err := digest.Parse(d); d != "" && err != nil {
			c.add(key, "%q is no digest: it looks like sha256: and 64 hex digits", d)
		}
	}
	slices.SortStableFunc(c.problems, func(a, b problem) int { return strings.Compare(a.key, b.key) })
	return c.problems
}

func (w *Workspace) snapshot() Snapshot {
	if w.Snapshot == nil {
		return Snapshot{}
	}
	return *w.Snapshot
}

type checker struct{ problems []problem }

func (c *checker) add(key, format string, args ...any) {
	c.problems = append(c.problems, problem{key, fmt.Sprintf(format, args...)})
}

func (c *checker) text(key, value string) {
	if hasControl(value) {
		c.add(key, "%q has control characters", value)
	}
}

func (c *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.add(key, "%q is not allowed: use one of %s", value, strings.Join(slices.DeleteFunc(allowed, func(s string) bool { return s == "" }), ", "))
	}
}

// ServerSchemes are the ways a server workspace's machine may be reached by.
func ServerSchemes() []string { return []string{"rdp", "vnc", "ssh"} }

// target checks that each type has what it launches, and only that.
func (c *checker) target(w *Workspace) {
	schemes := map[Type][]string{TypeServer: ServerSchemes(), TypeLink: {"http", "https"}}[w.Type]
	if w.Type == TypeContainer {
		if w.Image == "" {
			c.add("image", "missing: a container workspace needs an image")
		} else if _, err := reference.ParseAnyReference(w.Image); err != nil {
			hint := ""
			lower := strings.ToLower(w.Image)
			if _, err := reference.ParseAnyReference(lower); err == nil {
				hint = fmt.Sprintf(": repositories are lower-case, such as %q", lower)
			}
			c.add("image", "%q is no image reference%s", w.Image, hint)
		}
		if w.URL != "" {
			c.add("url", "a container workspace has no url")
		}
		return
	}
	if schemes == nil {
		return
	}
	if w.Image != "" {
		c.add("image", "a %s workspace has no image", w.Type)
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || u.User != nil {
		c.add("url", "a %s workspace needs a url that begins with %s://, without a password in it", w.Type, strings.Join(schemes, ":// or "))
	}
}

func (c *checker) resources(r Resources) {
	if r.CPUs < 0 || math.IsNaN(r.CPUs) || math.IsInf(r.CPUs, 0) || r.CPUs > 1<<16 {
		c.add("resources.cpus", "%v is no number of processors", r.CPUs)
	} else if _, err := runspec.CPUs(r.CPUsText()); err != nil {
		c.add("resources.cpus", "%s: %s", r.CPUsText(), err)
	}
	for key, v := range map[string]string{"resources.memory": r.Memory, "resources.shm_size": r.ShmSize} {
		if n, err := runspec.Size(v); v != "" && (err != nil || n <= 0) {
			c.add(key, "%q is no size: write it like 512m or 2g", v)
		}
	}
	c.text("resources.gpus", r.GPUs)
	if !hasControl(r.GPUs) {
		if _, err := runspec.GPUs(r.GPUs); err != nil {
			c.add("resources.gpus", "%q is no choice of GPUs: %s", r.GPUs, err)
		}
	}
	for _, v := range harmless(r.Ulimits) {
		if _, err := runspec.Ulimits([]string{v}); err != nil {
			c.add("resources.ulimits", "%q is no ulimit: %s", v, err)
		}
	}
}

func hasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }

// harmless are the values without control characters: the others are reported as
// text already, and parsers repeat what they are given as it is.
func harmless(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), hasControl)
}

// PortPlace is where a port of the session, its first group, stands in the address to
// open.
var PortPlace = regexp.MustCompile(`\{(\d+)\}`)

// open checks the address of what a session shows.
func (c *checker) open(address string) {
	if address == "" || hasControl(address) {
		return
	}
	for _, place := range PortPlace.FindAllStringSubmatch(address, -1) {
		if n, err := strconv.ParseUint(place[1], 10, 16); err != nil || n == 0 {
			c.add("run.open", "%q: %s is no port that there can be", address, place[0])
			return
		}
	}
	u, err := url.Parse(PortPlace.ReplaceAllString(address, "1"))
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		c.add("run.open", "%q is no address: write it like https://localhost:{6901}/, with the session's port in braces", address)
	}
}

func (c *checker) run(r Run) {
	c.open(r.Open)
	for _, p := range harmless(r.Ports) {
		if _, _, err := runspec.Ports([]string{p}); err != nil {
			c.add("run.ports", "%q is no port: %s", p, err)
		}
	}
	for name, value := range r.Environment {
		key := join([]string{"run", "environment", name})
		if name == "" || strings.Contains(name, "=") || hasControl(name) {
			c.add(key, "%q is no name of an environment variable", name)
		}
		if strings.ContainsRune(value, 0) {
			c.add(key, "a value cannot have a NUL character in it")
		}
	}
	for _, v := range harmless(r.Volumes) {
		if strings.HasPrefix(v, ".") {
			c.add("run.volumes", "%q: give an absolute path or a volume's name", v)
		} else if _, err := runspec.ParseVolume(v); err != nil {
			c.add("run.volumes", "%s", err)
		}
	}
	for _, v := range r.Tmpfs {
		if !strings.HasPrefix(v, "/") {
			c.add("run.tmpfs", "%q: give an absolute path", v)
		}
	}
	if networks := harmless(r.Networks); len(networks) == len(r.Networks) {
		if _, _, err := runspec.Networks(networks); err != nil {
			c.add("run.networks", "%s", err)
		}
	}
}
