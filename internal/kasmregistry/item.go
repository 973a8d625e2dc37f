package kasmregistry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// What a session of a Kasm image needs where its entry does not say: the port of
// its page, reached from this machine only, and memory for browsers.
const (
	kasmPort = "127.0.0.1::6901"
	kasmPage = "https://localhost:{6901}/"
	kasmShm  = "512m"
)

// said are keys whose values are found elsewhere in a workspace, or are no concern
// of it.
var said = []string{
	"friendly_name", "description", "name", "docker_registry", "compatibility", "categories", "image_src",
	"cores", "memory", "gpu_count", "run_config", "session_time_limit", "enabled", "image_type",
	"architecture", "uncompressed_size_mb", "sha", "available_tags", "cpu_allocation_method",
}

// entry is one workspace of a list: keys that a workspace file has none for are
// told of, and none is lost without a word.
type entry struct {
	fields map[string]json.RawMessage
	errs   []error
	left   []string
}

func parseItem(raw json.RawMessage, icons *url.URL) Item {
	e := entry{}
	if err := json.Unmarshal(raw, &e.fields); err != nil || e.fields == nil {
		return Item{Err: errors.New("it is no object")}
	}
	label := e.text("friendly_name")
	if label == "" && len(e.errs) == 0 {
		e.fail("friendly_name", "missing")
	}
	ws := &workspace.Workspace{
		FriendlyName: label,
		Description:  e.text("description"),
		Type:         workspace.TypeContainer,
		Pull:         workspace.PullMissing,
		Enabled:      true,
		Run:          workspace.Run{Ports: []string{kasmPort}, Open: kasmPage},
	}
	if kind := e.text("image_type"); kind != "" && !strings.EqualFold(kind, "container") {
		e.fail("image_type", "%q is none that is launched: only containers are", kind)
	}
	ws.Image = e.image()
	e.get("categories", &ws.Categories)
	e.get("enabled", &ws.Enabled)
	ws.Icon = e.icon(icons)
	e.resources(ws)
	e.runConfig(ws)
	if ws.Resources.ShmSize == "" {
		ws.Resources.ShmSize = kasmShm
	}
	var limit float64
	if e.get("session_time_limit", &limit); limit >= 1 && limit < 1<<31 {
		ws.Lifetime.Limit = workspace.Duration(time.Duration(limit) * time.Second)
	} else if limit != 0 {
		e.left = append(e.left, "session_time_limit")
	}
	for _, key := range slices.Sorted(maps.Keys(e.fields)) {
		if !slices.Contains(said, key) && !empty(e.fields[key]) {
			e.left = append(e.left, quoted(key))
		}
	}
	slices.Sort(e.left)
	if len(e.errs) > 0 {
		return Item{Label: label, Err: errors.Join(e.errs...)}
	}
	return Item{Label: label, Workspace: ws, Left: e.left}
}

func (e *entry) fail(key, format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// get reads a field that may be absent or null.
func (e *entry) get(key string, into any) {
	if raw, ok := e.fields[key]; ok && json.Unmarshal(raw, into) != nil {
		e.fail(key, "it is not of the kind that it should be")
	}
}

// text reads a field as one line: descriptions are wrapped.
func (e *entry) text(key string) string {
	var s string
	e.get(key, &s)
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), " ")
}

// icon is the address of an icon, which stands beside the list.
func (e *entry) icon(icons *url.URL) string {
	src := e.text("image_src")
	if src == "" {
		return ""
	}
	if u, err := url.Parse(src); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil {
		return src
	}
	if icons == nil || path.Base(src) != src || src == ".." || src == "." {
		e.left = append(e.left, "image_src")
		return ""
	}
	return icons.JoinPath(url.PathEscape(src)).String()
}

// resources reads limits. Kasm's memory is in megabytes in a registry, and in
// bytes where somebody copied it from the API.
func (e *entry) resources(ws *workspace.Workspace) {
	var memory, gpus float64
	e.get("cores", &ws.Resources.CPUs)
	e.get("memory", &memory)
	e.get("gpu_count", &gpus)
	switch {
	case memory == 0:
	case memory < 1 || memory > 1<<50:
		e.fail("memory", "%v is no size", memory)
	case memory > 1e7 && int64(memory)%1e6 != 0:
		ws.Resources.Memory = strconv.FormatInt(int64(memory), 10)
	case memory > 1e7:
		ws.Resources.Memory = strconv.FormatInt(int64(memory)/1e6, 10) + "m"
	default:
		ws.Resources.Memory = strconv.FormatInt(int64(memory), 10) + "m"
	}
	if gpus < 0 || gpus != float64(int16(gpus)) {
		e.fail("gpu_count", "%v is no number of processors", gpus)
	} else if gpus > 0 {
		ws.Resources.GPUs = strconv.Itoa(int(gpus))
	}
	if method := e.text("cpu_allocation_method"); strings.EqualFold(method, "shares") {
		e.left = append(e.left, "cpu_allocation_method (cores is a limit)")
	}
}

// empty tells whether a value says nothing.
func empty(raw json.RawMessage) bool {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return false
	}
	return slices.Contains([]string{"null", `""`, "{}", "[]", "0", "false"}, out.String())
}

// quoted is a key as it can be shown.
func quoted(key string) string {
	for _, r := range key {
		if r != '_' && r != '.' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return strconv.QuoteToASCII(key)
		}
	}
	return key
}
