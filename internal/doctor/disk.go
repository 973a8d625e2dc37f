package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/go-units"

	"github.com/docker-kasm/docker-kasm/internal/disk"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// Disk compares the room on the engine's disk with its largest session: a snapshot
// of that has to fit. known tells of the sessions that have no labels; helper asks the
// engine's helper for the room, and returns false where that cannot tell.
func (e *Engine) Disk(api session.Lister, known session.Roster, helper func(context.Context) (disk.Space, bool)) Check {
	return e.needed("disk", func(ctx context.Context) []Finding {
		info, err := e.info()
		if err != nil {
			return warning("", "free disk is not known: %s", err)
		}
		space, told := e.localSpace(info)
		if !told {
			space, told = helper(ctx)
		}
		if !told {
			return warning("`docker kasm helper install` sets up what can tell, or look on the engine's host: df -h "+info.DockerRootDir,
				"free disk is not known, as the engine is on another host and has no helper that tells")
		}
		sessions, err := session.List(ctx, api, session.ListOptions{All: true, Size: true, Roster: known})
		switch {
		case err != nil && !session.Silent(err): // another check tells of records
		case timedOut(err):
			return warning("--timeout gives it longer", "%s free; the sizes of sessions were not measured in time", size(space.Free))
		case err != nil:
			return warning("", "%s free; the sizes of sessions are not known: %s", size(space.Free), err)
		}
		return room(space, sessions)
	})
}

// room judges the space. With the containerd image store a layer is kept packed
// and unpacked, and packing may gain nothing.
func room(space disk.Space, sessions []session.Session) []Finding {
	text := fmt.Sprintf("%s of %s free", size(space.Free), size(space.Total))
	var largest *session.Session
	for i, s := range sessions {
		if s.SizeRw > 0 && (largest == nil || s.SizeRw > largest.SizeRw) {
			largest = &sessions[i]
		}
	}
	if largest == nil {
		return ok("%s; no session has written anything", text)
	}
	text += fmt.Sprintf("; the largest session, %s, has written %s", largest.Name, size(uint64(largest.SizeRw))) //nolint:gosec // it is positive
	const advice = "free some: `docker system df` tells what takes it"
	switch need := uint64(largest.SizeRw); { //nolint:gosec // it is positive
	case space.Free < need:
		return failed(advice, "%s: a snapshot of it does not fit", text)
	case space.Free < 2*need:
		return warning(advice, "%s: a snapshot of it may not fit", text)
	}
	return ok("%s", text)
}

// localSpace is the room where the engine keeps its data, false if that is not on
// this machine as far as can be told.
func (e *Engine) localSpace(info system.Info) (disk.Space, bool) {
	host, err := os.Hostname()
	// A socket may lead to a virtual machine, as that of Docker Desktop does.
	if !strings.HasPrefix(e.endpoint, "unix://") || err != nil || info.Name != host || info.DockerRootDir == "" {
		return disk.Space{}, false
	}
	space, err := disk.Of(info.DockerRootDir)
	if err != nil {
		return disk.Space{}, false
	}
	// A containerd of the system's own keeps the images of its store elsewhere.
	const containerd = "/var/lib/containerd"
	if info.Containerd != nil && info.Containerd.Address == "/run/containerd/containerd.sock" && isContainerdStore(info) {
		if its, err := disk.Of(containerd); err == nil && its.Free < space.Free {
			return its, true
		}
	}
	return space, true
}

func isContainerdStore(info system.Info) bool {
	for _, kv := range info.DriverStatus {
		if kv[0] == "driver-type" && kv[1] == "io.containerd.snapshotter.v1" {
			return true
		}
	}
	return false
}

func size(bytes uint64) string { return units.HumanSizeWithPrecision(float64(bytes), 3) }
