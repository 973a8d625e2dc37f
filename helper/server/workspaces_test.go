package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestAConflictTellsWhoChangedWhat(t *testing.T) {
	f := newFixture(t)
	ann, bob := f.start(t).Catalog(), f.client(t, "bob@lab").Catalog()
	ws, err := ann.CreateRaw(t.Context(), "w", []byte(`image = "a"`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Update(t.Context(), "w", "", []workspace.Edit{{Key: "image", Value: "b"}}); err != nil {
		t.Fatal(err)
	}
	_, err = ann.Update(t.Context(), "w", ws.Revision, []workspace.Edit{{Key: "image", Value: "c"}})
	var p *helperapi.Problem
	if !errors.Is(err, workspace.ErrConflict) || !errors.As(err, &p) || p.Current == nil || p.Current.Changed.By != "bob@lab" || p.Current.Text != `image = "b"` {
		t.Fatalf("%v %+v", err, p)
	}
	// By hand, on the engine's host.
	if err := os.WriteFile(filepath.Join(f.dir, "w.toml"), []byte(`image = "d"`), 0o600); err != nil {
		t.Fatal(err)
	}
	err = ann.Remove(t.Context(), "w", p.Current.Revision)
	if !errors.As(err, &p) || p.Current == nil || p.Current.Changed.By != "" || p.Current.Text != `image = "d"` {
		t.Fatalf("%v %+v", err, p)
	}
}

func TestConcurrentUpdatesOfOneFileAreAllKept(t *testing.T) {
	f := newFixture(t)
	client := f.start(t).Catalog()
	if _, err := client.CreateRaw(t.Context(), "w", []byte("# mine\nimage = \"a\"\n")); err != nil {
		t.Fatal(err)
	}
	keys := []string{"resources.memory", "resources.shm_size", "description", "icon"}
	errs := make(chan error)
	for i, key := range keys {
		go func() {
			_, err := f.client(t, fmt.Sprint(i)).Catalog().Update(t.Context(), "w", "", []workspace.Edit{{Key: key, Value: "1g"}})
			errs <- err
		}()
	}
	for range keys {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	data, _, err := client.Raw(t.Context(), "w")
	if err != nil || strings.Count(string(data), `"1g"`) != len(keys) || !strings.Contains(string(data), "# mine") {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestTheCatalogIsThatOfTheFolder(t *testing.T) {
	f := newFixture(t)
	client := f.start(t).Catalog()
	if err := os.WriteFile(filepath.Join(f.dir, "bad.toml"), []byte("image = \"x\"\nimag = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateRaw(t.Context(), "good", []byte(`image = "x"`)); err != nil {
		t.Fatal(err)
	}
	list, err := client.List(t.Context())
	if len(list) != 1 || list[0].Name != "good" || list[0].Path != "" {
		t.Errorf("%+v", list)
	}
	if err == nil || !strings.Contains(err.Error(), "bad.toml:2:1:") {
		t.Errorf("the bad file's error is %v", err)
	}
	if name, err := client.UniqueName(t.Context(), "Good"); name != "good-2" || err != nil {
		t.Errorf("%s %v", name, err)
	}
	if _, err := client.Get(t.Context(), "gud"); !errors.Is(err, workspace.ErrNotFound) {
		t.Error(err)
	}
}
