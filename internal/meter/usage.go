// Package meter measures what sessions use: processor, memory, network and disk.
package meter

import (
	"time"

	"github.com/docker/docker/api/types/container"
)

// Usage is what a session uses, as `docker stats` computes it.
type Usage struct {
	// CPU is in percent of one processor, between the last two frames. It is -1
	// where there was only one.
	CPU float64
	// Memory and MemoryLimit are bytes. Files that the kernel merely keeps in
	// memory do not count; MemoryLimit is 0 where the engine tells none.
	Memory, MemoryLimit uint64
	// Received and Sent are bytes over all networks since the start.
	Received, Sent uint64
	// Read and Written are bytes of block devices since the start.
	Read, Written uint64
	// Processes counts threads too, as the engine does.
	Processes uint64
}

const windows = "windows"

// between computes the usage from two frames that followed each other; the first
// is nil where there is none. os is that of the engine.
func between(before, now *container.StatsResponse, os string) Usage {
	u := Usage{CPU: -1}
	if before != nil {
		u.CPU = cpu(before, now, os)
	}
	for _, n := range now.Networks {
		u.Received += n.RxBytes
		u.Sent += n.TxBytes
	}
	if os == windows {
		u.Memory = now.MemoryStats.PrivateWorkingSet
		u.Read, u.Written = now.StorageStats.ReadSizeBytes, now.StorageStats.WriteSizeBytes
		return u
	}
	u.Memory, u.MemoryLimit = memory(now.MemoryStats), now.MemoryStats.Limit
	u.Processes = now.PidsStats.Current
	for _, e := range now.BlkioStats.IoServiceBytesRecursive {
		// "Read" with version 1 of control groups, "read" with 2.
		switch e.Op {
		case "Read", "read":
			u.Read += e.Value
		case "Write", "write":
			u.Written += e.Value
		}
	}
	return u
}

// cpu is 0 where counters went back: the session was started again meanwhile.
func cpu(before, now *container.StatsResponse, os string) float64 {
	used := float64(now.CPUStats.CPUUsage.TotalUsage) - float64(before.CPUStats.CPUUsage.TotalUsage)
	passed := float64(now.CPUStats.SystemUsage) - float64(before.CPUStats.SystemUsage)
	processors := float64(now.CPUStats.OnlineCPUs)
	if processors == 0 {
		processors = float64(len(now.CPUStats.CPUUsage.PercpuUsage))
	}
	if os == windows {
		// Its counters are in units of 100 ns.
		passed = float64(now.Read.Sub(before.Read)/(100*time.Nanosecond)) * float64(now.NumProcs)
		processors = 1
	}
	if used <= 0 || passed <= 0 {
		return 0
	}
	return used / passed * processors * 100
}

// memory leaves the cache of files out that the kernel would drop first.
func memory(m container.MemoryStats) uint64 {
	cache, v1 := m.Stats["total_inactive_file"]
	if !v1 {
		cache = m.Stats["inactive_file"]
	}
	if cache >= m.Usage {
		return m.Usage
	}
	return m.Usage - cache
}
