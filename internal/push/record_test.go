package push

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRecordIsThereWhileThePushIs(t *testing.T) {
	api := &fakeEngine{containerd: true, pushed: someID, has: someID}
	p, _, _ := newPusher(t, api)
	var during *Record
	api.during = func() { during, _ = p.Records.Get("engine-1", ref(t, "127.0.0.1:1/x:v1")) }
	if _, err := p.Push(t.Context(), Request{Ref: ref(t, "127.0.0.1:1/x:v1"), ImageID: someID}); err != nil {
		t.Fatal(err)
	}
	if during == nil || during.Reason != unfinished {
		t.Errorf("record %+v", during)
	}
}

func TestRecordsThatCannotBeWrittenDoNotStopThePush(t *testing.T) {
	p, _, events := newPusher(t, &fakeEngine{containerd: true, pushed: someID, has: someID})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Records = OpenRecords(filepath.Join(file, "pushes"))
	if got, err := p.Push(t.Context(), Request{Ref: ref(t, "127.0.0.1:1/x:v1"), ImageID: someID}); err != nil || got.Digest != someID {
		t.Errorf("got %+v, %v", got, err)
	}
	if !strings.Contains(events.String(), "warning: a failure of this push could not be resumed") {
		t.Errorf("says %s", events)
	}
}

func TestListPassesOverBadFiles(t *testing.T) {
	r := OpenRecords(t.TempDir())
	for i, name := range []string{"x/b:v1", "x/a:v1"} {
		if err := r.Save(Record{Image: name, EngineID: "e", Time: time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"bad.json": "{", "evil.json": `{"Image":"../../x\u001b"}`, ".tmp.json": "{", "note.txt": "{"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.List()
	if len(list) != 2 || list[0].Image != "x/b:v1" || err == nil || strings.Count(err.Error(), "remove the file") != 2 {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestSweepRemovesWhatAKilledWriteLeft(t *testing.T) {
	dir := t.TempDir()
	rec := Record{Image: "x:v1", EngineID: "e"}
	if err := OpenRecords(dir).Save(rec); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, ".tmp-0123456789abcdef01234567.json123")
	if err := os.WriteFile(left, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	OpenRecords(dir).Sweep()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", left, err)
	}
	if list, err := OpenRecords(dir).List(); err != nil || len(list) != 1 {
		t.Errorf("%+v %v", list, err)
	}
	t.Chdir(dir)
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	Records{}.Sweep()
	if _, err := os.Stat(left); err != nil {
		t.Error("records that are kept nowhere have swept another folder")
	}
}
