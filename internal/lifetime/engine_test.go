package lifetime

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
)

// answers is an Engine API that answers with texts of an engine.
type answers struct{ time, started, stats, os string }

func (a answers) Info(context.Context) (system.Info, error) {
	return system.Info{SystemTime: a.time}, nil
}

func (a answers) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &container.State{StartedAt: a.started}}}, nil
}

func (a answers) ContainerStatsOneShot(context.Context, string) (container.StatsResponseReader, error) {
	return container.StatsResponseReader{Body: io.NopCloser(strings.NewReader(a.stats)), OSType: a.os}, nil
}

func (answers) ContainerList(_ context.Context, o container.ListOptions) ([]container.Summary, error) {
	list := []container.Summary{{ID: id(1), State: container.StateRunning, Labels: map[string]string{"com.kasmweb.image": "true"}}}
	if o.All {
		list = append(list, container.Summary{ID: id(2), State: container.StateExited, Labels: map[string]string{"com.kasmweb.image": "true"}})
	}
	return list, nil
}

func (answers) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return nil, nil
}

func TestFromAPI(t *testing.T) {
	ctx := context.Background()
	const stats = `{"cpu_stats":{"cpu_usage":{"total_usage":1500000000}},"networks":{"eth0":{"rx_bytes":1,"tx_bytes":20},"eth1":{"rx_bytes":300}}}`
	e := FromAPI(answers{"2026-11-23T12:00:00.000000001Z", "2026-11-23T13:00:00+01:00", stats, "linux"})
	if now, err := e.Now(ctx); err != nil || !now.Equal(noon.Add(1)) {
		t.Errorf("now: %s, %v", now, err)
	}
	if at, err := e.Started(ctx, id(1)); err != nil || !at.Equal(noon) {
		t.Errorf("started: %s, %v", at, err)
	}
	if u, err := e.Usage(ctx, id(1)); err != nil || u != (Usage{1500 * time.Millisecond, 321}) {
		t.Errorf("usage: %+v, %v", u, err)
	}
	if list, err := e.List(ctx); err != nil || len(list) != 2 {
		t.Errorf("list: %+v, %v", list, err)
	}
	if u, err := FromAPI(answers{stats: stats, os: "windows"}).Usage(ctx, id(1)); err != nil || u.CPU != 150*time.Second {
		t.Errorf("of Windows: %+v, %v", u, err)
	}
	bad := FromAPI(answers{"now", "then", "{", "linux"})
	if _, err := bad.Now(ctx); err == nil {
		t.Error("a time that is none is taken")
	}
	if _, err := bad.Started(ctx, id(1)); err == nil {
		t.Error("a start that is none is taken")
	}
	if _, err := bad.Usage(ctx, id(1)); err == nil {
		t.Error("statistics that are none are taken")
	}
}
