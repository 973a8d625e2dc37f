package meter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// recorded reads frames that an engine sent.
func recorded(t *testing.T, name string) []*container.StatsResponse {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var frames []*container.StatsResponse
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var f container.StatsResponse
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, &f)
	}
	return frames
}

func TestUsageIsThatOfDockerStats(t *testing.T) {
	v2 := recorded(t, "29-busy")
	for _, f := range v2 {
		// What an engine on version 2 of control groups sends.
		delete(f.MemoryStats.Stats, "total_inactive_file")
		f.BlkioStats.IoServiceBytesRecursive = []container.BlkioStatEntry{{Op: "read", Value: 7}, {Op: "write", Value: 9}, {Op: "write", Value: 1}}
	}
	again := recorded(t, "20.10-busy")
	again[1].CPUStats.CPUUsage.TotalUsage = 5
	windowsFrames := []*container.StatsResponse{{}, {NumProcs: 2}}
	windowsFrames[1].Read = windowsFrames[0].Read.Add(time.Second)
	windowsFrames[1].CPUStats.CPUUsage.TotalUsage = 10_000_000 // a second, in units of 100 ns
	windowsFrames[1].MemoryStats.PrivateWorkingSet = 4096
	for name, c := range map[string]struct {
		frames []*container.StatsResponse
		os     string
		want   Usage
	}{
		"20.10": {recorded(t, "20.10-busy"), "linux", Usage{
			CPU: 36.062, Memory: 589824, MemoryLimit: 25276510208, Received: 866, Processes: 3,
		}},
		"29": {recorded(t, "29-busy"), "linux", Usage{
			CPU: 37.569, Memory: 6053888 - 5242880, MemoryLimit: 25276510208, Received: 1658, Sent: 126, Processes: 3,
		}},
		"control groups version 2": {v2, "linux", Usage{
			CPU: 37.569, Memory: 6053888 - 5242880, MemoryLimit: 25276510208, Received: 1658, Sent: 126, Processes: 3, Read: 7, Written: 10,
		}},
		"started again meanwhile": {again, "linux", Usage{CPU: 0, Memory: 589824, MemoryLimit: 25276510208, Received: 866, Processes: 3}},
		"windows":                 {windowsFrames, "windows", Usage{CPU: 50, Memory: 4096}},
	} {
		t.Run(name, func(t *testing.T) {
			got := between(c.frames[0], c.frames[1], c.os)
			if math.Abs(got.CPU-c.want.CPU) > 0.001 {
				t.Errorf("processor: %f %%, not %f %%", got.CPU, c.want.CPU)
			}
			got.CPU = c.want.CPU
			if got != c.want {
				t.Errorf("got %+v, not %+v", got, c.want)
			}
			if first := between(nil, c.frames[0], c.os); first.CPU != -1 {
				t.Errorf("one frame tells %f %% of a processor", first.CPU)
			}
		})
	}
}

// fakeEngine has sessions that send a frame a second.
type fakeEngine struct {
	mu sync.Mutex
	// ends are the errors that streams begin with, io.EOF for an empty answer.
	ends map[string]error
	// open counts streams.
	open     int
	sizeTime time.Duration
	sizes    int
}

func (e *fakeEngine) ContainerStats(ctx context.Context, id string, _ bool) (container.StatsResponseReader, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.ends[id]
	if end != nil && !errors.Is(end, io.EOF) {
		return container.StatsResponseReader{}, end
	}
	r, w := io.Pipe()
	e.open++
	go func() {
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.open--
		}()
		defer w.Close()
		if end != nil {
			return
		}
		var f container.StatsResponse
		f.CPUStats.OnlineCPUs = 2
		for ctx.Err() == nil {
			f.CPUStats.SystemUsage += 2e9
			f.CPUStats.CPUUsage.TotalUsage += 5e8
			if json.NewEncoder(w).Encode(f) != nil {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	return container.StatsResponseReader{Body: r, OSType: "linux"}, nil
}

func (e *fakeEngine) ContainerInspectWithRaw(context.Context, string, bool) (container.InspectResponse, []byte, error) {
	time.Sleep(e.sizeTime)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sizes++
	size := int64(1000)
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{SizeRw: &size}}, nil, nil
}

func sessions(states ...session.State) []session.Session {
	var list []session.Session
	for i, state := range states {
		list = append(list, session.Session{ID: string(rune('a' + i)), State: state})
	}
	return list
}

func TestOnceMeasuresAllOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &fakeEngine{ends: map[string]error{"c": io.EOF, "d": cerrdefs.ErrNotFound, "e": errors.New("busy")}}
		m := New(engine, true)
		m.Set(sessions(session.Running, session.Stopped, session.Running, session.Running, session.Running, session.Paused))
		got, err := m.Once(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// c was deleted while it was asked for, d before that.
		if len(got) != 4 {
			t.Fatalf("readings: %+v", got)
		}
		if u := got[0].Usage; u == nil || u.CPU != 50 || got[0].Disk.Bytes != 1000 {
			t.Errorf("of one that runs: %+v", got[0])
		}
		if got[1].Usage != nil || got[1].Disk.Bytes != 1000 {
			t.Errorf("of one that is stopped: %+v", got[1])
		}
		if got[2].Usage != nil {
			t.Errorf("of one that could not be asked for: %+v", got[2])
		}
		if got[3].Usage == nil {
			t.Errorf("of one that is paused: %+v", got[3])
		}
	})
}

func TestOnceDoesNotWaitForeverForSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(&fakeEngine{sizeTime: 30 * time.Second}, true)
		m.Set(sessions(session.Running))
		began := time.Now()
		got, err := m.Once(t.Context())
		if err != nil || len(got) != 1 || got[0].Usage == nil || got[0].Disk.Bytes != -1 {
			t.Errorf("%+v, %v", got, err)
		}
		if took := time.Since(began); took > 31*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestFramesDoNotWaitForSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(&fakeEngine{sizeTime: 30 * time.Second}, true)
		var states []session.State
		for range opening + 2 {
			states = append(states, session.Running)
		}
		m.Set(sessions(states...))
		got, err := m.Once(t.Context())
		if err != nil || len(got) != len(states) {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, r := range got {
			if r.Usage == nil {
				t.Errorf("nothing is known of what %s uses", r.Session.ID)
			}
		}
	})
}

// An engine that is started again answers as if a session were gone.
func TestASessionThatIsListedAfterAllIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &fakeEngine{ends: map[string]error{"a": io.EOF}}
		m := New(engine, false)
		m.Set(sessions(session.Running))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx, func([]Reading) {}) }()
		time.Sleep(5 * time.Second)
		if got := m.Readings(); len(got) != 0 {
			t.Errorf("it is gone: %+v", got)
		}
		engine.mu.Lock()
		engine.ends = nil
		engine.mu.Unlock()
		m.Set(sessions(session.Running))
		time.Sleep(5 * time.Second)
		if got := m.Readings(); len(got) != 1 || got[0].Usage == nil {
			t.Errorf("it is back: %+v", got)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestRunFollowsTheSessionsThatAreSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &fakeEngine{sizeTime: time.Second}
		m := New(engine, true)
		m.Set(sessions(session.Running, session.Running))
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var last []Reading
		ended := make(chan error, 1)
		go func() {
			ended <- m.Run(ctx, func(list []Reading) {
				mu.Lock()
				defer mu.Unlock()
				last = list
			})
		}()
		look := func(after time.Duration) []Reading {
			time.Sleep(after)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return last
		}
		streams := func() int {
			engine.mu.Lock()
			defer engine.mu.Unlock()
			return engine.open
		}
		if got := look(5 * time.Second); len(got) != 2 || got[1].Usage == nil || got[1].Usage.CPU != 50 || streams() != 2 {
			t.Errorf("%d streams, %+v", streams(), got)
		}
		m.Set(sessions(session.Stopped, session.Running, session.Running))
		if got := look(5 * time.Second); len(got) != 3 || got[0].Usage != nil || got[2].Usage == nil || streams() != 2 {
			t.Errorf("%d streams, %+v", streams(), got)
		}
		m.Set(sessions(session.Running))
		if got := look(5 * time.Second); len(got) != 1 || got[0].Usage == nil || streams() != 1 {
			t.Errorf("%d streams, %+v", streams(), got)
		}
		// A disk is measured again after a minute, and not all the time where that
		// takes long.
		measured := func() int {
			engine.mu.Lock()
			defer engine.mu.Unlock()
			return engine.sizes
		}
		before := measured()
		look(10 * time.Minute)
		if again := measured() - before; again < 5 || again > 10 {
			t.Errorf("one disk was measured %d times in ten minutes", again)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if streams() != 0 {
			t.Errorf("%d streams are left open", streams())
		}
	})
}
