// Package workspace is the catalog: what can be launched, each registration a
// TOML file that belongs to the user.
package workspace

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/runspec"
)

// Type says what a workspace launches.
type Type string

// The types of workspaces.
const (
	TypeContainer Type = "container"
	TypeServer    Type = "server"
	TypeLink      Type = "link"
)

// PullPolicy says when the image is pulled before a launch.
type PullPolicy string

// The policies, as `docker run --pull` has them.
const (
	PullAlways  PullPolicy = "always"
	PullMissing PullPolicy = "missing"
	PullNever   PullPolicy = "never"
)

// Workspace is one registration.
type Workspace struct {
	// Name is the key: the file's name without .toml.
	Name         string `toml:"-" json:"-"`
	FriendlyName string `toml:"friendly_name"`
	Description  string `toml:"description"`
	Type         Type   `toml:"type"`
	// Image is what sessions of a container workspace run.
	Image string `toml:"image"`
	// URL is where a server (rdp, vnc, ssh) or link (http, https) is.
	URL        string     `toml:"url"`
	Categories []string   `toml:"categories"`
	Icon       string     `toml:"icon"`
	Enabled    bool       `toml:"enabled"`
	Pull       PullPolicy `toml:"pull"`
	Resources  Resources  `toml:"resources"`
	Run        Run        `toml:"run"`
	Hooks      Hooks      `toml:"hooks"`
	Lifetime   Lifetime   `toml:"lifetime"`
	// Snapshot says where a snapshot came from; nil on other workspaces.
	Snapshot *Snapshot `toml:"snapshot"`

	// Path is the file it was read from, "" where that is on another machine.
	Path string `toml:"-" json:",omitempty"`
	// Scope is the catalog that it is in, "user" or "engine"; "" where that does
	// not matter.
	Scope string `toml:"-" json:",omitempty"`
	// Revision is the SHA-256 of the file's bytes, in hex.
	Revision string `toml:"-"`
}

// Resources are limits of a session, written as `docker run` takes them.
type Resources struct {
	CPUs    float64  `toml:"cpus"`
	Memory  string   `toml:"memory"`
	ShmSize string   `toml:"shm_size"`
	GPUs    string   `toml:"gpus"`
	Ulimits []string `toml:"ulimits"`
}

// CPUsText is CPUs as `docker run --cpus` takes it.
func (r Resources) CPUsText() string { return strconv.FormatFloat(r.CPUs, 'f', -1, 64) }

// Run is how a session's container is run, in the words of `docker run`.
type Run struct {
	Ports       []string          `toml:"ports"`
	Environment map[string]string `toml:"environment"`
	Volumes     []string          `toml:"volumes"`
	// Tmpfs that is empty but not nil also does without the one at /tmp that
	// sessions of Kasm images get.
	Tmpfs []string `toml:"tmpfs"`
	// Networks are what the session is connected to; the engine's default one
	// without any.
	Networks []string `toml:"networks"`
	// Remove has the session deleted as soon as it stops.
	Remove bool `toml:"rm"`
	// Open is the address of the session's page, with {PORT} for the host
	// port that a container port is published on.
	Open string `toml:"open"`
}

// Hooks are commands run in the session, as argument vectors.
type Hooks struct {
	BeforeStop     []string `toml:"before_stop"`
	BeforeSnapshot []string `toml:"before_snapshot"`
	// Timeout is what each may take; 0 means the usual 30 seconds.
	Timeout Duration `toml:"timeout" json:",omitzero"`
}

// Lifetime limits how long a session lasts.
type Lifetime struct {
	// Limit is how long after its creation a session expires; 0 for never.
	Limit Duration `toml:"limit" json:",omitzero"`
	// Idle is after how long without activity it does; 0 for never.
	Idle Duration `toml:"idle" json:",omitzero"`
	// OnExpiry is OnExpiryStop, OnExpiryPause or OnExpiryDelete; "" means stop.
	OnExpiry string `toml:"on_expiry"`
	// SnapshotFirst keeps an expired session as it is until a snapshot of it is
	// made.
	SnapshotFirst bool `toml:"snapshot_first"`
}

// What is done with a session that has expired.
const (
	OnExpiryStop   = "stop"
	OnExpiryPause  = "pause"
	OnExpiryDelete = "delete"
)

// MinIdle is the shortest idle time: activity is looked at once a minute.
const MinIdle = time.Minute

// Snapshot says which session's image a workspace launches.
type Snapshot struct {
	// Of is the workspace the session was run from, "" if it had none.
	Of string `toml:"of"`
	// Parent is the image reference the session was created from.
	Parent string `toml:"parent"`
	// ImageID is the id the image had when it was made.
	ImageID string    `toml:"image_id"`
	Created time.Time `toml:"created"`
	// Digest is that of the manifest in the registry, "" until pushed.
	Digest string `toml:"digest"`
}

// Duration is a time.Duration written like "8h" or "90m". Zero is written by
// leaving its key out.
type Duration time.Duration

// Mounts tells whether a volume or a tmpfs is mounted at dir itself.
func (r Run) Mounts(dir string) bool {
	return slices.ContainsFunc(r.Tmpfs, func(text string) bool {
		return runspec.TmpfsTarget(text) == dir
	}) || slices.ContainsFunc(r.Volumes, func(text string) bool {
		volume, err := runspec.ParseVolume(text)
		return err == nil && path.Clean(volume.Target) == dir
	})
}

// UnmarshalText reads what time.ParseDuration takes, above zero.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: write it like 8h or 90m", text)
	}
	if v <= 0 {
		return fmt.Errorf("a duration of %s means nothing: leave the key out for no limit", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the duration as time.Duration has it.
func (d Duration) String() string { return time.Duration(d).String() }

// DisplayName is the friendly name, or the name where there is none.
func (w *Workspace) DisplayName() string {
	if w.FriendlyName != "" {
		return w.FriendlyName
	}
	return w.Name
}

const maxName = 128

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// ValidName tells whether name can be the key of a workspace.
func ValidName(name string) error {
	if len(name) > maxName || !nameForm.MatchString(name) {
		return fmt.Errorf("invalid workspace name %q: use lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, %d characters at most", name, maxName)
	}
	return nil
}
