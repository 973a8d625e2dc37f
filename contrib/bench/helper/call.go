package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// inContainer measures a call to the helper in its container, on this machine and
// over ssh; there is none unless `docker kasm helper install` was run.
func inContainer(ctx context.Context, engine *client.Client, remote string) error {
	way, err := dial.Find(ctx, engine, engine.DaemonHost())
	if errors.Is(err, dial.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	took, err := warm(ctx, way.Dial)
	if err != nil {
		return err
	}
	fmt.Printf("warm call into the container: %s\n", took)
	if remote == "" {
		return nil
	}
	ssh, err := connhelper.GetConnectionHelper(remote)
	if err != nil {
		return err
	}
	far, err := client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: &http.Transport{DialContext: ssh.Dialer}}),
		client.WithHost(ssh.Host), client.WithDialContext(ssh.Dialer), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer far.Close()
	if way, err = dial.Find(ctx, far, remote); err != nil {
		return err
	}
	if took, err = warm(ctx, way.Dial); err != nil {
		return err
	}
	fmt.Printf("warm call into the container over ssh: %s\n", took)
	return nil
}

// service is an engine whose helper is a service with that socket.
type service struct {
	dial.API
	socket string
}

func (s service) VolumeInspect(context.Context, string) (volume.Volume, error) {
	return volume.Volume{Labels: map[string]string{dial.LabelKind: dial.Service, dial.LabelSocket: s.socket}}, nil
}

// asService measures a call over ssh to a helper that is a service.
func asService(ctx context.Context, remote, socket string) error {
	if remote == "" {
		return nil
	}
	way, err := dial.Find(ctx, service{socket: socket}, remote)
	if err != nil {
		return err
	}
	took, err := warm(ctx, way.Dial)
	if err != nil {
		return err
	}
	fmt.Printf("warm call over ssh: %s (goal 2 ms)\n", took)
	return nil
}

// warm measures calls over a connection that is there.
func warm(ctx context.Context, way helperapi.Dial) (string, error) {
	c := helperapi.NewClient(way, "bench", "")
	defer c.Close()
	var times []time.Duration
	for range 2000 {
		began := time.Now()
		if _, err := c.Version(ctx); err != nil {
			return "", err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return fmt.Sprintf("%.2f ms median, %.2f ms least of %d", ms(times[len(times)/2]), ms(times[0]), len(times)), nil
}
