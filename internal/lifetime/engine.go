package lifetime

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// API is what is asked of the Engine API.
type API interface {
	session.Lister
	Info(ctx context.Context) (system.Info, error)
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	ContainerStatsOneShot(ctx context.Context, container string) (container.StatsResponseReader, error)
}

// FromAPI is the Engine behind an API client.
func FromAPI(api API) Engine { return engine{api} }

type engine struct{ api API }

func (e engine) Now(ctx context.Context) (time.Time, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the engine for its time: %w", err)
	}
	now, err := time.Parse(time.RFC3339Nano, info.SystemTime)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the engine for its time: %w", err)
	}
	return now, nil
}

func (e engine) List(ctx context.Context) ([]session.Session, error) {
	return session.List(ctx, e.api, session.ListOptions{All: true})
}

func (e engine) Started(ctx context.Context, id string) (time.Time, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return time.Time{}, fmt.Errorf("inspect session %s: %w", id, err)
	}
	if c.ContainerJSONBase == nil || c.State == nil {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, c.State.StartedAt)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when session %s was started: %w", id, err)
	}
	return at, nil
}

func (e engine) Usage(ctx context.Context, id string) (Usage, error) {
	res, err := e.api.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return Usage{}, fmt.Errorf("read what session %s uses: %w", id, err)
	}
	defer res.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(res.Body).Decode(&stats); err != nil {
		return Usage{}, fmt.Errorf("read what session %s uses: %w", id, err)
	}
	u := Usage{CPU: time.Duration(stats.CPUStats.CPUUsage.TotalUsage)} //nolint:gosec // nanoseconds: 292 years fit
	if res.OSType == "windows" {
		u.CPU *= 100
	}
	for _, n := range stats.Networks {
		u.Network += n.RxBytes + n.TxBytes
	}
	return u, nil
}
