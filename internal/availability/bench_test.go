package availability

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// BenchmarkChange measures the time from an event about an image to the change
// of a state, with a thousand workspaces and as many images, on an engine that
// answers at once: with pauses between the events, and with each event as soon as
// the state of the one before is known.
func BenchmarkChange(b *testing.B) {
	b.Run("quiet", func(b *testing.B) { change(b, 3*quiet) })
	b.Run("busy", func(b *testing.B) { change(b, 0) })
}

func change(b *testing.B, pause time.Duration) {
	f := newFake()
	var list []*workspace.Workspace
	for i := range 1000 {
		name := fmt.Sprintf("kasmweb/desktop%d", i)
		list = append(list, container(name[len("kasmweb/"):], name))
		f.put(name+":latest", hex(i), hex(10_000+i))
	}
	list = append(list, container("w", "kasmweb/changing"))
	w := NewWatcher(f, Options{Offline: true})
	ctx, cancel := context.WithCancel(b.Context())
	changes := w.Subscribe(ctx, 2*len(list))
	w.SetWorkspaces(list)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = w.Run(ctx) })
	await := func(name string, state State) {
		for c := range changes {
			if c.Name == name && c.New.State == state {
				return
			}
		}
		b.Fatal("the watcher did not keep up")
	}
	await("w", Unknown)
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		time.Sleep(pause)
		b.StartTimer()
		began := time.Now()
		if len(took)%2 == 0 {
			f.put("kasmweb/changing:latest", hex(1_000_000), "")
			await("w", Available)
		} else {
			f.drop("kasmweb/changing:latest")
			await("w", Unknown)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkIndex measures what a list of a thousand images costs the watcher:
// the first one, and one that follows another.
func BenchmarkIndex(b *testing.B) {
	var list []image.Summary
	for i := range 1000 {
		name := fmt.Sprintf("registry.example:5000/kasmweb/desktop%d", i)
		list = append(list, image.Summary{ID: hex(i), RepoTags: []string{name + ":1.16.0"}, RepoDigests: []string{name + "@" + hex(10_000+i)}})
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			index(list)
		}
	})
	b.Run("next", func(b *testing.B) {
		var known names
		known.index(list)
		for b.Loop() {
			known.index(list)
		}
	})
}
