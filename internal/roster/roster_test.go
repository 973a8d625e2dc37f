package roster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const box = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func adopted(engine, container string) Record {
	return Record{
		ID: AdoptedID(engine, container), Kind: Adopted, Name: "db", Workspace: "w", User: "ann",
		Created: time.Unix(10, 0).UTC(), Container: container, Engine: engine, Host: "unix:///run/docker.sock",
	}
}

func server(t *testing.T, name string) Record {
	t.Helper()
	id, err := NewID()
	if err != nil {
		t.Fatal(err)
	}
	return Record{ID: id, Kind: Server, Name: name, Workspace: "win", Created: time.Unix(20, 0).UTC(), Address: "rdp://host:3389"}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	good := server(t, "win-1")
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Record){
		"session id":       func(r *Record) { r.ID = "../../etc" },
		"session name":     func(r *Record) { r.Name = "a/b" },
		"workspace name":   func(r *Record) { r.Workspace = "W" },
		"created":          func(r *Record) { r.Created = time.Time{} },
		"control":          func(r *Record) { r.User = "x\x1b[2J" },
		"kind":             func(r *Record) { r.Kind = "other" },
		"no container":     func(r *Record) { r.Container = box },
		"none of a server": func(r *Record) { r.Address = "file:///etc/passwd" },
		"without a passw":  func(r *Record) { r.Address = "rdp://ann:secret@host" },
		"begins with rdp":  func(r *Record) { r.Address = "" },
	} {
		r := good
		change(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said: %v", want, err)
		}
	}
	for want, change := range map[string]func(*Record){
		"no full id":      func(r *Record) { r.Container = "abc" },
		"engine is":       func(r *Record) { r.Engine = "" },
		"another contain": func(r *Record) { r.Engine = "other" },
		"no address":      func(r *Record) { r.Address = "rdp://host" },
	} {
		r := adopted("E", box)
		change(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said: %v", want, err)
		}
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "sessions"))
	if list, err := s.List(t.Context()); len(list) != 0 || err != nil {
		t.Fatal("none yet:", list, err)
	}
	want := []Record{adopted("E", box), server(t, "win-1")}
	for i := range want {
		if err := s.Add(t.Context(), want[len(want)-1-i]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.List(t.Context())
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Fatalf("%v\n%+v\n%+v", err, got, want)
	}
	for _, r := range want {
		for range 2 { // what is gone already is removed
			if err := s.Remove(t.Context(), r.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := s.List(t.Context()); len(got) != 0 || err != nil {
		t.Fatal("removed:", got, err)
	}
	if err := s.Remove(t.Context(), "../x"); err == nil {
		t.Error("a path is no id")
	}
}

func TestOneOfEachContainerAndName(t *testing.T) {
	s := Open(t.TempDir())
	for _, r := range []Record{adopted("E", box), server(t, "win-1"), adopted("F", box)} {
		if err := s.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []Record{adopted("E", box), server(t, "win-1")} {
		if err := s.Add(t.Context(), r); !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v", r.Kind, err)
		}
	}
}

func TestABadFileHidesNoGoodOne(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir)
	if err := s.Add(t.Context(), server(t, "win-1")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"0000000000000000.toml":  "kind =",
		"0000000000000001.toml":  "kind = \"server\"\n",
		"0000000000000002.toml":  strings.Repeat("#", maxFile+1),
		"upper.toml":             "",
		".0000000000000003.toml": "hidden",
		"notes.txt":              "not ours",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List(t.Context())
	if len(list) != 1 || list[0].Name != "win-1" {
		t.Errorf("%+v", list)
	}
	for _, bad := range []string{"0000000000000000.toml", "0000000000000001.toml", "0000000000000002.toml", "upper.toml"} {
		if err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s is not named: %v", bad, err)
		}
	}
	if strings.Contains(err.Error(), "notes.txt") || strings.Contains(err.Error(), "0000003") {
		t.Error(err)
	}
	// A container is not adopted again over what may be mended.
	r := adopted("E", box)
	path := filepath.Join(dir, r.ID+extension)
	if err := os.WriteFile(path, []byte("kind ="), 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *FileError
	if err := s.Add(t.Context(), r); !errors.As(err, &damaged) || errors.Is(err, ErrExists) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	// The name of a bad one is free.
	if err := s.Add(t.Context(), server(t, "win-2")); err != nil {
		t.Error(err)
	}
}

func TestWritersAtTheSameTimeTakeTurns(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		all.Go(func() { errs[i] = Open(dir).Add(t.Context(), adopted("E", fmt.Sprintf("%064x", i/2))) })
	}
	all.Wait()
	refused := 0
	for _, err := range errs {
		if errors.Is(err, ErrExists) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if list, err := Open(dir).List(t.Context()); len(list) != 8 || refused != 8 || err != nil {
		t.Errorf("%d records, %d refused, %v", len(list), refused, err)
	}
}

func TestAWriteRemovesWhatAKilledOneLeft(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, ".tmp-0000000000000000.toml123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Open(dir).Add(t.Context(), adopted("E", box)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error("it is still there")
	}
}

func TestAMarkTellsWhetherThereAreRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	s := OpenMarked(dir)
	marked := func() bool {
		_, err := os.Stat(filepath.Join(dir, Mark))
		return err == nil
	}
	if err := s.Sweep(t.Context()); err != nil || marked() {
		t.Fatal("marked without records", err)
	}
	a, b := server(t, "a1"), server(t, "b1")
	for _, r := range []Record{a, b} {
		if err := s.Add(t.Context(), r); err != nil || !marked() {
			t.Fatal("not marked", err)
		}
	}
	if err := s.Remove(t.Context(), a.ID); err != nil || !marked() {
		t.Fatal("one is left", err)
	}
	// What was put there by hand counts once the store is opened again.
	if err := os.Remove(filepath.Join(dir, Mark)); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil || !marked() {
		t.Fatal("not marked again", err)
	}
	if err := s.Remove(t.Context(), b.ID); err != nil || marked() {
		t.Fatal("none is left", err)
	}
}
