package diff

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// mounts lists what is mounted in the session, with sizes as far as they can be
// read in the time given: by du in a running session, of volumes by the engine
// otherwise.
func (m measurer) mounts(ctx context.Context, c container.InspectResponse, budget time.Duration) ([]Mount, error) {
	limited, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	out := []Mount{}
	for _, p := range c.Mounts {
		at := Mount{Path: p.Destination, Type: string(p.Type), Source: p.Source, Size: Unknown}
		if p.Type == mount.TypeVolume {
			at.Source = p.Name
		}
		out = append(out, at)
	}
	if c.HostConfig != nil {
		for _, path := range slices.Sorted(maps.Keys(c.HostConfig.Tmpfs)) {
			out = append(out, Mount{Path: path, Type: string(mount.TypeTmpfs), Size: Unknown})
		}
	}
	if len(out) == 0 {
		return out, nil
	}
	var err error
	switch {
	case m.inside:
		err = m.du(limited, out)
	case slices.ContainsFunc(out, func(at Mount) bool { return at.Type == string(mount.TypeVolume) }):
		err = m.volumes(limited, out)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// Out of time: those that are not known stay so.
	if limited.Err() != nil {
		err = nil
	}
	return out, err
}

func (m measurer) du(ctx context.Context, out []Mount) error {
	command := []string{"du", "-sk"}
	for _, at := range out {
		command = append(command, at.Path)
	}
	return m.exec(ctx, command, nil, func(line string) {
		kib, path, ok := strings.Cut(line, "\t")
		size, err := strconv.ParseInt(kib, 10, 64)
		if !ok || err != nil {
			return
		}
		for i := range out {
			if out[i].Path == path {
				out[i].Size = size * 1024
			}
		}
	})
}

func (m measurer) volumes(ctx context.Context, out []Mount) error {
	usage, err := m.api.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.VolumeObject}})
	if err != nil {
		return err
	}
	for _, v := range usage.Volumes {
		for i := range out {
			if out[i].Type == string(mount.TypeVolume) && out[i].Source == v.Name && v.UsageData != nil {
				out[i].Size = v.UsageData.Size
			}
		}
	}
	return nil
}
