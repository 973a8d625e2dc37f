// Package engine is the door to what differs between Docker engines: their
// image stores, the streams they answer with, and the classes of their errors.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

// Store is the kind of image store an engine keeps its images in.
type Store string

const (
	// Graphdriver is the classic store (overlay2 and others): an image's id is
	// the digest of its configuration.
	Graphdriver Store = "graphdriver"
	// Containerd is the containerd image store: an image's id is the digest of
	// its manifest or index.
	Containerd Store = "containerd"
)

// InfoClient is what is asked of the engine to know its store.
type InfoClient interface {
	Info(ctx context.Context) (system.Info, error)
}

// Info describes an engine as far as a snapshot depends on it.
type Info struct {
	ID      string
	Version string
	Store   Store
	// Registries are the engine's settings about registries, nil if it has none.
	Registries *registry.ServiceConfig
}

// Inspect asks the engine who it is and which store it uses. The containerd
// store shows itself by its driver-type
// (https://docs.docker.com/engine/storage/containerd/).
func Inspect(ctx context.Context, api InfoClient) (Info, error) {
	info, err := api.Info(ctx)
	if err != nil {
		return Info{}, fmt.Errorf("ask the engine for its image store: %w", err)
	}
	store := Graphdriver
	for _, kv := range info.DriverStatus {
		if kv[0] == "driver-type" && kv[1] == "io.containerd.snapshotter.v1" {
			store = Containerd
		}
	}
	return Info{ID: info.ID, Version: info.ServerVersion, Store: store, Registries: info.RegistryConfig}, nil
}

// Time is the time by the engine's clock. Some engines take long to tell it.
func Time(ctx context.Context, api InfoClient) (time.Time, error) {
	info, err := api.Info(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the engine for its time: %w", err)
	}
	now, err := time.Parse(time.RFC3339Nano, info.SystemTime)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the engine for its time: %w", err)
	}
	return now, nil
}

// Stamp writes a time as engines take it for events, to the nanosecond.
func Stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// Local tells whether the engine at an address, such as unix:///var/run/docker.sock,
// is on this machine.
func Local(address string) bool {
	scheme, _, _ := strings.Cut(address, "://")
	return scheme == "unix" || scheme == "npipe"
}

// ConnectionLost tells whether an error means that the engine did not answer: it is
// down, or the connection to it was lost.
func ConnectionLost(err error) bool {
	var netErr *net.OpError
	return client.IsErrConnectionFailed(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &netErr) || errors.Is(err, syscall.ECONNRESET)
}
