package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// heard is what a command that still runs has written.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
	// more is closed by the next write.
	more chan struct{}
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.more != nil {
		close(h.more)
		h.more = nil
	}
	return h.text.Write(p)
}

func (h *heard) String() string {
	text, _ := h.listen()
	return text
}

func (h *heard) listen() (text string, more <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.more == nil {
		h.more = make(chan struct{})
	}
	return h.text.String(), h.more
}

// await waits until what was written fulfils something.
func (h *heard) await(t *testing.T, what string, is func(text string) bool) {
	t.Helper()
	timeout := time.After(awaited)
	for {
		text, more := h.listen()
		if is(text) {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("%s is not shown:\n%s", what, text)
		}
	}
}

func (h *heard) awaitText(t *testing.T, part string) {
	t.Helper()
	h.await(t, part, func(text string) bool { return strings.Contains(text, part) })
}
