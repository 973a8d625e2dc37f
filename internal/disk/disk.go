// Package disk tells how much room there is on a disk.
package disk

// Space is the room on a disk, in bytes.
type Space struct {
	// Free is what anybody may still write, Total all there is.
	Free, Total uint64
}
