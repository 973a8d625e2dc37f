package task

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func BenchmarkTaskSubmitToDone(b *testing.B) {
	s, _, err := Open(Options{Dir: b.TempDir(), Keep: 100})
	if err != nil {
		b.Fatal(err)
	}
	s.Register("pull", func(context.Context, *Run) error { return nil })
	s.Start(b.Context())
	sub := s.Subscribe()
	for b.Loop() {
		if _, err := s.Submit(Spec{Kind: "pull"}); err != nil {
			b.Fatal(err)
		}
		for {
			event, err := sub.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if event.Type == Changed && event.Task.State == Done {
				break
			}
		}
	}
	sub.Close()
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkTaskOpen1000(b *testing.B) {
	options := Options{Dir: b.TempDir(), Keep: 1000}
	s, _, err := Open(options)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		at := time.Now().Add(time.Duration(i))
		err := s.journal.save(Task{
			ID: fmt.Sprintf("%012x", i), Kind: "pull", Subject: "firefox", State: Done, Step: "verify", Attempts: 1,
			Created: at, Queued: at, Started: at, Ended: at, Request: []byte(`{"Image":"kasmweb/firefox:1.16.0"}`),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, bad, err := Open(options)
		if err != nil || len(bad) > 0 || len(s.entries) != 1000 {
			b.Fatal(len(s.entries), bad, err)
		}
		if err := s.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
