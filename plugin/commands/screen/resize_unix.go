//go:build !windows

package screen

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// resizes tells when the terminal gets another size, until stop is called.
func resizes() (<-chan os.Signal, func()) {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	return resized, func() { signal.Stop(resized) }
}
