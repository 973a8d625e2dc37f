package workspace

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Encode writes a fresh file: the keys in their usual order, those that say
// nothing left out.
func Encode(w *Workspace) ([]byte, error) {
	var out bytes.Buffer
	var failed error
	section := ""
	put := func(key string, value any, given bool) {
		if !given || failed != nil {
			return
		}
		name := key
		if table, last, ok := cutLast(key); ok {
			if table != section {
				fmt.Fprintf(&out, "\n[%s]\n", table)
				section = table
			}
			name = last
		}
		text, err := encodeValue(value)
		if err != nil {
			failed = fmt.Errorf("encode %s: %w", key, err)
			return
		}
		fmt.Fprintf(&out, "%s = %s\n", name, text)
	}
	str := func(key, value string) { put(key, value, value != "") }
	list := func(key string, value []string) { put(key, value, len(value) > 0) }
	str("friendly_name", w.FriendlyName)
	str("description", w.Description)
	put("type", string(w.Type), w.Type != TypeContainer && w.Type != "")
	str("image", w.Image)
	str("url", w.URL)
	list("categories", w.Categories)
	str("icon", w.Icon)
	put("enabled", w.Enabled, !w.Enabled)
	put("pull", string(w.Pull), w.Pull != PullMissing && w.Pull != "")
	put("resources.cpus", w.Resources.CPUs, w.Resources.CPUs != 0)
	str("resources.memory", w.Resources.Memory)
	str("resources.shm_size", w.Resources.ShmSize)
	str("resources.gpus", w.Resources.GPUs)
	list("resources.ulimits", w.Resources.Ulimits)
	list("run.ports", w.Run.Ports)
	put("run.environment", w.Run.Environment, len(w.Run.Environment) > 0)
	list("run.volumes", w.Run.Volumes)
	put("run.tmpfs", w.Run.Tmpfs, w.Run.Tmpfs != nil)
	list("run.networks", w.Run.Networks)
	put("run.rm", w.Run.Remove, w.Run.Remove)
	str("run.open", w.Run.Open)
	list("hooks.before_stop", w.Hooks.BeforeStop)
	list("hooks.before_snapshot", w.Hooks.BeforeSnapshot)
	put("hooks.timeout", time.Duration(w.Hooks.Timeout).String(), w.Hooks.Timeout != 0)
	put("lifetime.limit", time.Duration(w.Lifetime.Limit).String(), w.Lifetime.Limit != 0)
	put("lifetime.idle", time.Duration(w.Lifetime.Idle).String(), w.Lifetime.Idle != 0)
	str("lifetime.on_expiry", w.Lifetime.OnExpiry)
	put("lifetime.snapshot_first", w.Lifetime.SnapshotFirst, w.Lifetime.SnapshotFirst)
	if s := w.Snapshot; s != nil {
		str("snapshot.of", s.Of)
		str("snapshot.parent", s.Parent)
		str("snapshot.image_id", s.ImageID)
		put("snapshot.created", s.Created, !s.Created.IsZero())
		str("snapshot.digest", s.Digest)
	}
	return out.Bytes(), failed
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// encodeValue writes a value on one line.
func encodeValue(value any) (string, error) {
	if table, ok := value.(map[string]string); ok {
		if len(table) == 0 {
			return "{}", nil
		}
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(table)) {
			text, err := encodeValue(table[name])
			if err != nil {
				return "", err
			}
			key := name
			if !bareKey.MatchString(name) {
				if key, err = encodeValue(name); err != nil {
					return "", err
				}
			}
			pairs = append(pairs, key+" = "+text)
		}
		return "{ " + strings.Join(pairs, ", ") + " }", nil
	}
	if list, ok := value.([]string); ok && len(list) == 0 {
		return "[]", nil
	}
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(map[string]any{"v": value}); err != nil {
		return "", err
	}
	return strings.TrimSpace(strings.TrimPrefix(out.String(), "v = ")), nil
}
