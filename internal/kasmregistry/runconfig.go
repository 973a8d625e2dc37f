package kasmregistry

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// runConfig takes from run_config, which are arguments of docker-py's run, what a
// workspace file has a key for and cannot reach the host: neither volumes nor
// ports, devices or capabilities.
func (e *entry) runConfig(ws *workspace.Workspace) {
	var config map[string]json.RawMessage
	e.get("run_config", &config)
	for _, key := range slices.Sorted(maps.Keys(config)) {
		taken, raw := false, config[key]
		switch key {
		case "environment":
			ws.Run.Environment, taken = environment(raw)
		case "shm_size":
			ws.Resources.ShmSize, taken = size(raw)
		case "mem_limit":
			var limit string
			if limit, taken = size(raw); taken {
				ws.Resources.Memory = limit
			}
		case "nano_cpus":
			var n float64
			if taken = json.Unmarshal(raw, &n) == nil; taken {
				ws.Resources.CPUs = n / 1e9
			}
		case "tmpfs":
			if dirs, ok := tmpfs(raw); ok && len(dirs) > 0 {
				ws.Run.Tmpfs, taken = dirs, true
			}
		}
		if !taken && !empty(raw) {
			e.left = append(e.left, "run_config."+quoted(key))
		}
	}
}

// environment is an object, or a list of NAME=VALUE.
func environment(raw json.RawMessage) (map[string]string, bool) {
	var values map[string]any
	if json.Unmarshal(raw, &values) != nil {
		var list []string
		if json.Unmarshal(raw, &list) != nil {
			return nil, false
		}
		values = map[string]any{}
		for _, pair := range list {
			name, value, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, false
			}
			values[name] = value
		}
	}
	env := map[string]string{}
	for name, value := range values {
		switch v := value.(type) {
		case string:
			env[name] = v
		case bool:
			env[name] = strconv.FormatBool(v)
		case float64:
			env[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case nil:
			env[name] = ""
		default:
			return nil, false
		}
	}
	return env, true
}

// size is a number of bytes, or a text such as 512m.
func size(raw json.RawMessage) (string, bool) {
	var n int64
	if json.Unmarshal(raw, &n) == nil && n > 0 {
		return strconv.FormatInt(n, 10), true
	}
	var s string
	if json.Unmarshal(raw, &s) == nil && s != "" {
		return s, true
	}
	return "", false
}

// tmpfs is an object of options by folder, or a list of folders.
func tmpfs(raw json.RawMessage) ([]string, bool) {
	var options map[string]string
	var list []string
	if json.Unmarshal(raw, &options) != nil {
		return list, json.Unmarshal(raw, &list) == nil
	}
	for _, dir := range slices.Sorted(maps.Keys(options)) {
		if o := options[dir]; o != "" {
			dir += ":" + o
		}
		list = append(list, dir)
	}
	return list, true
}
