package shelf

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// limit is how long a change may take to be seen before the test gives up.
const limit = time.Minute

func open(t testing.TB, dir string, changed func([]*workspace.Workspace)) *Shelf {
	t.Helper()
	s, err := Open(dir, slog.New(slog.DiscardHandler), changed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ignore([]*workspace.Workspace) {}

func TestFilesChangedByHandAreSeen(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", `image = "one"`)
	seen := make(chan string, 100)
	s := open(t, dir, func(list []*workspace.Workspace) {
		var b strings.Builder
		for _, ws := range list {
			fmt.Fprintf(&b, "%s=%s ", ws.Name, ws.Image)
		}
		seen <- strings.TrimSpace(b.String())
	})
	done := make(chan error, 1)
	go func() { done <- s.Watch(t.Context()) }()
	expect := func(want string) {
		t.Helper()
		for deadline := time.After(limit); ; {
			select {
			case got := <-seen:
				if got == want {
					return
				}
			case <-deadline:
				t.Fatalf("%q was not seen", want)
			}
		}
	}
	expect("a=one")
	// The same size, within a tick of the file system's clock.
	put(t, dir, "a", `image = "two"`)
	expect("a=two")
	put(t, dir, "b", `image = "new"`)
	expect("a=two b=new")
	put(t, dir, "a", `image = `)
	expect("b=new")
	if e, err := s.Get("a"); err != nil || e.Err == nil || e.Workspace != nil {
		t.Errorf("the bad file: %+v, %v", e, err)
	}
	// As editors save: a new file takes the place of the old.
	if err := os.WriteFile(filepath.Join(dir, "tmp"), []byte(`image = "saved"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "a.toml")); err != nil {
		t.Fatal(err)
	}
	expect("a=saved b=new")
	if err := os.Remove(filepath.Join(dir, "b.toml")); err != nil {
		t.Fatal(err)
	}
	expect("a=saved")
}

func TestALinkThatLeadsNowhereIsReported(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("absent", filepath.Join(dir, "lost.toml")); err != nil {
		t.Fatal(err)
	}
	list := open(t, dir, ignore).List()
	if len(list) != 1 || list[0].Name != "lost" || list[0].Err == nil {
		t.Errorf("got %+v", list)
	}
}

func TestWhoChangedAFileIsKnownAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, ignore)
	if _, err := s.Create(t.Context(), "ann", "w", []byte(`image = "a"`)); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, ignore)
	if e, err := again.Get("w"); err != nil || e.Changed.By != "ann" {
		t.Errorf("%+v %v", e, err)
	}
	put(t, dir, "w", `image = "b"`)
	if err := again.Reload(); err != nil {
		t.Fatal(err)
	}
	if e, err := again.Get("w"); err != nil || e.Changed.By != "" || e.Workspace.Image != "b" {
		t.Errorf("%+v %v", e, err)
	}
	if err := os.WriteFile(filepath.Join(dir, authorsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := open(t, dir, ignore).Get("w"); err != nil || e.Workspace.Image != "b" {
		t.Errorf("%+v %v", e, err)
	}
}

func TestAChangeIsThereOnceItIsAnswered(t *testing.T) {
	s := open(t, t.TempDir(), ignore)
	e, err := s.Create(t.Context(), "ann", "w", []byte(`image = "a"`))
	if err != nil || e.Workspace.Image != "a" {
		t.Fatalf("%+v %v", e, err)
	}
	if e, err = s.Replace(t.Context(), "bob", "w", e.Revision, []byte(`image = "b"`)); err != nil || e.Workspace.Image != "b" || e.Changed.By != "bob" {
		t.Fatalf("%+v %v", e, err)
	}
	if err := s.Remove(t.Context(), "w", "not the revision"); !errors.Is(err, workspace.ErrConflict) {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "w", e.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("w"); !errors.Is(err, workspace.ErrNotFound) {
		t.Error(err)
	}
}

func TestWhatAKilledHelperLeftIsRemovedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", `image = "a"`)
	for _, name := range []string{".b.toml123456789", ".tmp-.authors.json123456789"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("ima"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, ignore)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if got := strings.Join(names, " "); got != ".lock a.toml" {
		t.Errorf("left are %s", got)
	}
}

func fill(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	for i := range n {
		put(b, dir, fmt.Sprintf("w%05d", i), fmt.Sprintf("friendly_name = \"W %d\"\nimage = \"repo/image%d:1\"\n[resources]\nmemory = \"1g\"\n[run]\nports = [\"127.0.0.1::6901\"]\n", i, i))
	}
	return dir
}

func BenchmarkOpen10000(b *testing.B) {
	dir := fill(b, 10000)
	for b.Loop() {
		open(b, dir, ignore)
	}
}

func BenchmarkReload10000(b *testing.B) {
	s := open(b, fill(b, 10000), ignore)
	for b.Loop() {
		if err := s.Reload(); err != nil {
			b.Fatal(err)
		}
	}
}
