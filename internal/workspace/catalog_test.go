//go:build linux

package workspace

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func put(t *testing.T, c *Catalog, name, text string) {
	t.Helper()
	if err := os.MkdirAll(c.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestABadFileHidesNoGoodOne(t *testing.T) {
	c := Open(t.TempDir())
	put(t, c, "b", `image = "b"`)
	put(t, c, "a", `image = "a"`)
	put(t, c, "bad", "image = 'x'\ncolour = 1")
	put(t, c, "Bad Name", `image = "x"`)
	put(t, c, "large", `image = "x" #`+strings.Repeat("x", MaxFile))
	put(t, c, ".hidden", "no toml")
	put(t, c, "a-2", `image = "x"`)
	if err := os.Symlink("nowhere", c.path("broken")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(c.path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(c.path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	list, err := c.List(t.Context())
	if len(list) != 3 || list[0].Name != "a" || list[1].Name != "a-2" || list[2].Name != "b" {
		t.Errorf("got %v", list)
	}
	for _, want := range []string{"bad.toml:2:1: unknown key", `invalid workspace name "Bad Name"`, "large.toml is larger", "pipe.toml is not a regular file", "broken.toml is a link that leads nowhere"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestAMissingFolderIsAnEmptyCatalog(t *testing.T) {
	c := Open(filepath.Join(t.TempDir(), "not", "there"))
	if list, err := c.List(t.Context()); list != nil || err != nil {
		t.Errorf("got %v, %v", list, err)
	}
	if err := c.Remove(t.Context(), "x", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Error("a question made the folder")
	}
	if err := c.Create(t.Context(), &Workspace{Name: "x", Image: "x", Enabled: true}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.path("x")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file has %v, %v", info.Mode(), err)
	}
}

func TestErrorsOfTheCatalog(t *testing.T) {
	c := Open(t.TempDir())
	put(t, c, "firefox", `image = "a"`)
	if _, err := c.Get(t.Context(), "firefx"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `did you mean "firefox"?`) {
		t.Errorf("got %v", err)
	}
	put(t, c, "Word", `image = "a"`)
	if _, err := c.Get(t.Context(), "word"); !errors.Is(err, ErrNotFound) || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("a name that cannot be used is proposed: %v", err)
	}
	if _, err := c.Get(t.Context(), "../firefox"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := c.Create(t.Context(), &Workspace{Name: "firefox", Image: "b", Enabled: true}); !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	_, old, err := c.Raw(t.Context(), "firefox")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), "firefox", old, []Edit{{"image", "b"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), "firefox", old, []Edit{{"image", "c"}}); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Replace(t.Context(), "firefox", old, []byte(`image = "c"`)); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v", err)
	}
	if err := c.Remove(t.Context(), "firefox", old); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Update(t.Context(), "firefox", "", []Edit{{"pull", "often"}}); err == nil {
		t.Error("a bad value was written")
	}
	if _, err := c.Replace(t.Context(), "firefox", "", []byte("image = \"c\" #"+strings.Repeat("x", MaxFile))); err == nil {
		t.Error("a file was written that is too large to be read again")
	}
	ws, err := c.Get(t.Context(), "firefox")
	if err != nil || ws.Image != "b" {
		t.Fatalf("got %+v, %v", ws, err)
	}
	if err := c.Remove(t.Context(), "firefox", ws.Revision); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(t.Context(), "firefox"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestAnEditThatChangesNothingWritesNothing(t *testing.T) {
	c := Open(t.TempDir())
	put(t, c, "w", "image = \"x\"\n")
	before, err := os.Stat(c.path("w"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), "w", "", []Edit{{"icon", nil}, {"image", "x"}}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(c.path("w")); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced, %v", err)
	}
}

func TestOneOfManyCreatesWins(t *testing.T) {
	c := Open(filepath.Join(t.TempDir(), "new"))
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = c.Create(t.Context(), &Workspace{Name: "w", Image: "x", Enabled: true}) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, ErrExists):
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d were made", made)
	}
}

func TestUniqueName(t *testing.T) {
	c := Open(t.TempDir())
	put(t, c, "firefox", "")
	put(t, c, "firefox-2", "broken")
	for base, want := range map[string]string{
		"firefox": "firefox-3", "Kasm/Fire Fox": "kasm-fire-fox", "--.x": "x", "": "workspace", "é": "workspace",
		strings.Repeat("a", 200): strings.Repeat("a", 128),
	} {
		if got, err := c.UniqueName(t.Context(), base); got != want || err != nil || ValidName(got) != nil {
			t.Errorf("%q: got %q, %v", base, got, err)
		}
	}
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	if dir := os.Getenv("CATALOG_TEST_DIR"); dir != "" {
		_, err := Open(dir).Update(t.Context(), "w", "", []Edit{{os.Getenv("CATALOG_TEST_KEY"), "1g"}})
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	c := Open(t.TempDir())
	put(t, c, "w", "image = 'x'")
	var wg sync.WaitGroup
	for _, key := range []string{"resources.memory", "resources.shm_size", "friendly_name", "description"} {
		wg.Go(func() {
			if _, err := c.Update(t.Context(), "w", "", []Edit{{key, "1g"}}); err != nil {
				t.Error(err)
			}
		})
	}
	for _, key := range []string{"icon", "snapshot.of", "snapshot.parent"} {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestConcurrentUpdatesLoseNothing$")
			cmd.Env = append(os.Environ(), "CATALOG_TEST_DIR="+c.Dir(), "CATALOG_TEST_KEY="+key)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	ws, err := c.Get(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	for key, v := range map[string]string{
		"memory": ws.Resources.Memory, "shm": ws.Resources.ShmSize, "friendly": ws.FriendlyName,
		"description": ws.Description, "icon": ws.Icon, "of": ws.snapshot().Of, "parent": ws.snapshot().Parent,
	} {
		if v != "1g" {
			t.Errorf("%s is %q", key, v)
		}
	}
}

func TestALinkedFileIsWrittenThrough(t *testing.T) {
	own := filepath.Join(t.TempDir(), "mine.toml")
	c := Open(t.TempDir())
	if err := os.WriteFile(own, []byte("image = 'x'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(own, c.path("w")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), "w", "", []Edit{{"image", "y"}}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(own); err != nil || string(data) != "image = \"y\"\n" {
		t.Errorf("got %q, %v", data, err)
	}
	if info, err := os.Lstat(c.path("w")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the mode became %v, %v", info.Mode(), err)
	}
}

func TestAFailedWriteLeavesTheFileAsItWas(t *testing.T) {
	for name, options := range map[string]string{"full disk": "size=16k", "read-only": "size=64k"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
				t.Skipf("needs the right to mount: %v", err)
			}
			defer syscall.Unmount(dir, 0) //nolint:errcheck // a folder of the test's own
			c := Open(dir)
			put(t, c, "w", "image = 'x'\n")
			put(t, c, ".lock", "")
			if name == "read-only" {
				if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.Update(t.Context(), "w", "", []Edit{{"description", strings.Repeat("x", 32<<10)}})
			if err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v", err)
			}
			if data, err := os.ReadFile(c.path("w")); err != nil || string(data) != "image = 'x'\n" {
				t.Errorf("the file became %q, %v", data, err)
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if n := f.Name(); n != "w.toml" && n != ".lock" && n != ".lock.toml" {
					t.Errorf("%s is left", n)
				}
			}
		})
	}
}
