package feed

import (
	"testing"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

func TestAListenerThatIsTooSlowIsTold(t *testing.T) {
	var f Feed
	slow, stop := f.Listen()
	defer stop()
	quick, stopQuick := f.Listen()
	for range waiting + 1 {
		f.Publish(helperapi.Event{Type: helperapi.EventTask})
		<-quick
	}
	n := 0
	for range slow {
		n++
	}
	if n != waiting {
		t.Errorf("%d events before the end", n)
	}
	stopQuick()
	if _, ok := <-quick; ok {
		t.Error("events after the end")
	}
	f.Publish(helperapi.Event{}) // to nobody
}
