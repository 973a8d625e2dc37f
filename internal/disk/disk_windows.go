package disk

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// Of returns the room on the disk that a folder is on.
func Of(dir string) (Space, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return Space{}, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	var s Space
	if err := windows.GetDiskFreeSpaceEx(path, &s.Free, &s.Total, nil); err != nil {
		return Space{}, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return s, nil
}
