package leftover

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moby/sys/atomicwriter"
)

func TestRemoveTakesTheTemporaryFilesOfAName(t *testing.T) {
	for name, want := range map[string][]string{"a": {"a", "b", "temporary b"}, "": {"a", "b"}} {
		dir := t.TempDir()
		for _, file := range []string{"a", "b"} {
			w, err := atomicwriter.New(filepath.Join(dir, file), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if found, err := filepath.Glob(filepath.Join(dir, ".tmp-"+file+"*")); err != nil || len(found) != 1 {
				t.Fatalf("the writer's file is not where it is looked for: %v", err)
			}
			t.Cleanup(func() { _ = w.Close() })
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		Remove(dir, name)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			if kind, _ := filepath.Match(".tmp-b*", e.Name()); kind {
				got = append(got, "temporary b")
				continue
			}
			got = append(got, e.Name())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q leaves %q, not %q", name, got, want)
		}
	}
}
