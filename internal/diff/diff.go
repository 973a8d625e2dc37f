// Package diff tells what a snapshot of a session would hold: the paths that
// were added, changed and deleted since the session was created, with their
// sizes, and what is mounted and would stay out of it.
package diff

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// API is what is asked of the engine.
type API interface {
	session.Hooker
	lock.Lister
	ContainerDiff(ctx context.Context, container string) ([]container.FilesystemChange, error)
	ContainerInspectWithRaw(ctx context.Context, container string, getSize bool) (container.InspectResponse, []byte, error)
	ContainerStatPath(ctx context.Context, container, path string) (container.PathStat, error)
	DiskUsage(ctx context.Context, options types.DiskUsageOptions) (types.DiskUsage, error)
}

// Kind tells what happened to a path.
type Kind string

// The kinds of changes.
const (
	Added   Kind = "added"
	Changed Kind = "changed"
	Deleted Kind = "deleted"
)

// Unknown is a size that could not be read.
const Unknown int64 = -1

// Diff is what a snapshot of a session would hold, and what it would not.
type Diff struct {
	Session string `json:"Session"`
	// Size is what a commit would write, in bytes, as the engine says.
	Size int64 `json:"Size"`
	// Measured is the sum of the sizes that were read, path by path.
	Measured int64 `json:"Measured"`
	// Unmeasured is the number of files whose size was not read: reading all
	// would have taken too long.
	Unmeasured int `json:"Unmeasured"`
	// Rows hold every path once, the largest row first.
	Rows []Row `json:"Rows"`
	// LeftOut are the mounts, whose content is in no snapshot.
	LeftOut []Mount `json:"LeftOut"`
	// Leftovers are paths that may keep a copy of the session from starting.
	Leftovers []string `json:"Leftovers"`
}

// Row is one path, or several of one kind in one directory.
type Row struct {
	// Path is absolute. That of a directory ends in a slash; the row is then
	// for paths below it.
	Path string `json:"Path"`
	Kind Kind   `json:"Kind"`
	// Files is the number of paths that are not directories.
	Files int `json:"Files"`
	// Size in bytes, of those of the files that could be measured; Unknown if
	// that was none.
	Size int64 `json:"Size"`
}

// Mount is something that is mounted in the session.
type Mount struct {
	Path string `json:"Path"`
	// Type is volume, bind or tmpfs.
	Type string `json:"Type"`
	// Source is the volume's name or the path on the engine's host.
	Source string `json:"Source,omitempty"`
	// Size of its content in bytes, or Unknown.
	Size int64 `json:"Size"`
}

// Options say how much is shown.
type Options struct {
	// All gives every path a row of its own.
	All bool
	// Budget is how long sizes may be read; 0 is DefaultBudget.
	Budget time.Duration
}

// DefaultBudget is how long sizes are read, and then those of mounts again.
const DefaultBudget = 5 * time.Second

// Of tells what a snapshot of s would hold.
func Of(ctx context.Context, api API, s session.Session, o Options) (Diff, error) {
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	c, _, err := api.ContainerInspectWithRaw(ctx, s.ID, true)
	if err != nil {
		return Diff{}, fmt.Errorf("inspect session %q: %w", s.Name, err)
	}
	changes, err := api.ContainerDiff(ctx, s.ID)
	if err != nil {
		return Diff{}, fmt.Errorf("ask what session %q has written: %w", s.Name, err)
	}
	d := Diff{Session: s.Name, LeftOut: []Mount{}}
	if c.SizeRw != nil {
		d.Size = *c.SizeRw
	}
	m := measurer{api: api, session: s, inside: s.State == session.Running}
	// A command that starts while a commit pauses the session hangs both on
	// Engine 20.10. One whose locks cannot be read is taken to hold none.
	holders, _ := lock.List(ctx, api, s.ID)
	if _, held := lock.HeldBy(holders, s.ID); held {
		m.inside = false
	}
	entries, err := m.measure(ctx, changes, o.Budget)
	if err != nil {
		return Diff{}, err
	}
	for _, e := range entries {
		switch {
		case e.kind == Deleted || e.dir:
		case e.size == Unknown:
			d.Unmeasured++
		default:
			d.Measured += e.size
		}
	}
	d.Leftovers = leftovers(entries)
	if o.All {
		d.Rows = each(entries)
	} else {
		d.Rows = collapse(entries)
	}
	if d.LeftOut, err = m.mounts(ctx, c, o.Budget); err != nil {
		return Diff{}, err
	}
	return d, nil
}

// entry is one changed path.
type entry struct {
	path string
	kind Kind
	dir  bool
	// socket is set for unix sockets, which no image holds.
	socket bool
	// size in bytes: 0 for directories, what is deleted, and further names of a
	// file that is counted already.
	size int64
}

func kindOf(k container.ChangeType) Kind {
	switch k {
	case container.ChangeAdd:
		return Added
	case container.ChangeDelete:
		return Deleted
	case container.ChangeModify:
	}
	return Changed
}

// Leftovers picks the paths out of an engine's answer that may keep a copy of
// the session from starting.
func Leftovers(changes []container.FilesystemChange) []string {
	entries := make([]entry, 0, len(changes))
	for _, c := range changes {
		entries = append(entries, entry{path: c.Path, kind: kindOf(c.Kind)})
	}
	return leftovers(entries)
}

// Locks of X servers and of Chromium's profile name the machine they were made
// on, pid files a process that is not there.
var (
	stale    = regexp.MustCompile(`^/tmp/\.X\d+-lock$|^/tmp/\.(X11|ICE)-unix/.|/Singleton(Lock|Cookie|Socket)$`)
	runtimes = []string{"/run/", "/var/run/", "/tmp/"}
)

func leftovers(entries []entry) []string {
	out := []string{}
	for _, e := range entries {
		volatile := slices.ContainsFunc(runtimes, func(dir string) bool { return strings.HasPrefix(e.path, dir) })
		if e.kind != Deleted && !e.dir && (stale.MatchString(e.path) || volatile && (e.socket || path.Ext(e.path) == ".pid")) {
			out = append(out, e.path)
		}
	}
	slices.Sort(out)
	return out
}
