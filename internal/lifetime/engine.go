package lifetime

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// API is what is asked of the Engine API.
type API interface {
	session.Lister
	engine.InfoClient
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	ContainerStatsOneShot(ctx context.Context, container string) (container.StatsResponseReader, error)
}

// FromAPI is the Engine behind an API client.
func FromAPI(api API) Engine { return apiEngine{api} }

type apiEngine struct{ api API }

func (e apiEngine) Now(ctx context.Context) (time.Time, error) {
	return engine.Time(ctx, e.api)
}

func (e apiEngine) List(ctx context.Context) ([]session.Session, error) {
	return session.List(ctx, e.api, session.ListOptions{All: true})
}

func (e apiEngine) Started(ctx context.Context, id string) (time.Time, error) {
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

func (e apiEngine) Usage(ctx context.Context, id string) (Usage, error) {
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
