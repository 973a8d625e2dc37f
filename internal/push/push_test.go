package push

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/registry"
)

var errBusy = errors.New("toomanyrequests: retry-after: 1.5s, allowed: 44000/minute")

func TestRetriesWaitAsLongAsAskedAndLongerEachTime(t *testing.T) {
	reset := errors.New("connection reset by peer")
	api := &fakeEngine{containerd: true, pushed: someID, has: someID, fail: []error{reset, errBusy, reset}}
	p, timer, events := newPusher(t, api)
	got, err := p.Push(t.Context(), Request{Ref: ref(t, "127.0.0.1:1/x:v1"), ImageID: someID})
	if err != nil || got.Attempts != 4 || got.Digest != someID || got.Verified != VerifiedDigest {
		t.Fatalf("got %+v, %v", got, err)
	}
	// Half of each wait is jitter, either way.
	for i, base := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		asked := []time.Duration{0, 1500 * time.Millisecond, 0}[i]
		if w := timer.waits[i] - asked; w < base/2 || w > base*3/2 {
			t.Errorf("wait %d is %s, want about %s on top of %s", i, timer.waits[i], base, asked)
		}
	}
	for _, want := range []string{"attempt 1 of 4 failed: connection reset by peer; trying again in ", "attempt 2 of 4 failed: toomanyrequests"} {
		if !strings.Contains(events.String(), want) {
			t.Errorf("%q is not in:\n%s", want, events)
		}
	}
	if rec, err := p.Records.Get("engine-1", ref(t, "127.0.0.1:1/x:v1")); rec != nil || err != nil {
		t.Errorf("a record is left: %+v, %v", rec, err)
	}
}

func TestPushGivesUp(t *testing.T) {
	denied := errors.New("denied: requested access to the resource is denied")
	long := errors.New("toomanyrequests: retry-after: 1h")
	for name, c := range map[string]struct {
		fail    []error
		retries uint
		pushes  int
		want    string
	}{
		"at once when refused":               {[]error{denied}, 3, 1, "denied"},
		"at once when it is told to":         {[]error{errBusy}, 0, 1, "toomanyrequests"},
		"at once when asked to wait long":    {[]error{long}, 3, 1, "the registry asks to wait for 1h0m0s"},
		"when refused after a retry":         {[]error{errBusy, denied}, 3, 2, "denied"},
		"after all retries, with the reason": {[]error{errBusy, errBusy, errBusy}, 2, 3, "toomanyrequests"},
	} {
		t.Run(name, func(t *testing.T) {
			api := &fakeEngine{pushed: someID, fail: c.fail}
			p, timer, _ := newPusher(t, api)
			p.Retries = c.retries
			_, err := p.Push(t.Context(), Request{Ref: ref(t, "x/y:v1"), ImageID: someID, Workspace: "w", Auth: registry.AuthConfig{Username: "me", Password: "hunter2"}})
			if err == nil || !strings.Contains(err.Error(), c.want) || api.pushes != c.pushes || len(timer.waits) != c.pushes-1 {
				t.Fatalf("%d pushes, waits %v: %v", api.pushes, timer.waits, err)
			}
			rec, err := p.Records.Get("engine-1", ref(t, "x/y:v1"))
			want := Record{Image: "x/y:v1", ImageID: someID, EngineID: "engine-1", Context: "there", Workspace: "w", Time: p.Now(), Attempts: c.pushes}
			if err != nil || rec == nil || !strings.Contains(rec.Reason, c.want) {
				t.Fatalf("record %+v, %v", rec, err)
			}
			if rec.Reason = ""; *rec != want {
				t.Errorf("record %+v, want %+v", *rec, want)
			}
			noSecret(t, p.Records.dir, "hunter2")
		})
	}
}

func noSecret(t *testing.T, dir, secret string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil || strings.Contains(string(data), secret) || strings.Contains(string(data), base64.StdEncoding.EncodeToString([]byte(secret))) {
		t.Errorf("%s, %v", data, err)
	}
}

func TestInterruptEndsAWaitAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, timer, _ := newPusher(t, &fakeEngine{pushed: someID, fail: []error{errBusy}})
	timer.never, timer.began = true, cancel
	_, err := p.Push(ctx, Request{Ref: ref(t, "x/y:v1"), ImageID: someID})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if rec, err := p.Records.Get("engine-1", ref(t, "x/y:v1")); err != nil || rec == nil || rec.Reason != "interrupted" || rec.Attempts != 1 {
		t.Errorf("record %+v, %v", rec, err)
	}
}
