package lifetime

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func id(n byte) string {
	return strings.Repeat(string("0123456789abcdef"[n/16])+string("0123456789abcdef"[n%16]), 32)
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

func sample() map[string]Entry {
	return map[string]Entry{
		id(1): {Extended: noon, Limit: Progress{Due: noon, Warned: noon.Add(1), Tries: 2, Retry: noon, Snapshot: true}},
		id(2): {Term: noon, Awake: noon, Passed: noon, Idle: Progress{Due: noon}, Rest: &Rest{noon, Usage{time.Second, 1 << 60}}},
	}
}

func TestStoreKeepsAllThatIsSaved(t *testing.T) {
	dir := t.TempDir()
	s := OpenStore(filepath.Join(dir, "lifetimes.json"))
	if got, err := s.Load(); err != nil || len(got) != 0 {
		t.Fatalf("a new store: %v, %v", got, err)
	}
	if err := s.Save(sample()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load()
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("got %+v, %v", got, err)
	}
	info, err := os.Stat(s.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"lifetimes.json"}) {
		t.Errorf("the folder holds %v", got)
	}
}

func TestSaveCutOffLeavesTheLastOne(t *testing.T) {
	dir := t.TempDir()
	s := OpenStore(filepath.Join(dir, "lifetimes.json"))
	if err := s.Save(sample()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	// What a helper leaves that is killed while it writes.
	if err := os.WriteFile(filepath.Join(dir, ".tmp-lifetimes.json123"), data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"lifetimes.json"}) {
		t.Errorf("the folder holds %v", got)
	}
}

func TestBadStoreIsSetAside(t *testing.T) {
	good, err := encodeStore(sample())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":           "",
		"cut off":         string(good[:len(good)-20]),
		"not JSON":        "\x00\x00\x00",
		"two values":      string(good) + "{}",
		"another version": strings.Replace(string(good), `"Version": 1`, `"Version": 2`, 1),
		"an unknown key":  strings.Replace(string(good), `"Version": 1`, `"Version": 1, "More": 1`, 1),
		"no id":           strings.Replace(string(good), id(1), "../../etc", 1),
		"tries below 0":   strings.Replace(string(good), `"Tries": 2`, `"Tries": -2`, 1),
		"no time":         strings.Replace(string(good), `"Extended": "2026`, `"Extended": "x2026`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if name != "empty" && text == string(good) {
				t.Fatal("nothing is bad about it")
			}
			dir := t.TempDir()
			s := OpenStore(filepath.Join(dir, "lifetimes.json"))
			if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := s.Load()
			if err == nil || !strings.Contains(err.Error(), "lifetimes.json.bad") || got == nil || len(got) != 0 {
				t.Errorf("got %v, %v", got, err)
			}
			if kept, err := os.ReadFile(s.path + ".bad"); err != nil || string(kept) != text {
				t.Errorf("set aside: %q, %v", kept, err)
			}
			if err := s.Save(sample()); err != nil {
				t.Error(err)
			}
			if got := files(t, dir); !slices.Equal(got, []string{"lifetimes.json", "lifetimes.json.bad"}) {
				t.Errorf("the folder holds %v", got)
			}
		})
	}
}

func TestStoreThatIsNoFileIsSetAside(t *testing.T) {
	dir := t.TempDir()
	s := OpenStore(filepath.Join(dir, "lifetimes.json"))
	if err := os.Mkdir(s.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(); err == nil || got == nil {
		t.Errorf("got %v, %v", got, err)
	}
	if err := s.Save(sample()); err != nil {
		t.Error(err)
	}
}

func FuzzLifetimeState(f *testing.F) {
	good, err := encodeStore(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"Version":1,"Sessions":null}`))
	f.Add([]byte(`{"Version":1,"Sessions":{"` + id(3) + `":{"Rest":{"Since":"9999-12-31T23:59:59Z"},"Idle":{"Tries":1}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := decodeStore(data)
		if err != nil {
			return
		}
		again, err := encodeStore(entries)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := decodeStore(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, again)
		}
		third, err := encodeStore(back)
		if err != nil || string(third) != string(again) {
			t.Fatalf("%s became %s, %v", again, third, err)
		}
		for _, e := range entries {
			// Nothing that stands in the file makes a decision panic or loop.
			e.settle(noon)
			facts := Facts{State: "running", Created: noon}
			if e.Rest != nil {
				facts.IdleSince = e.Rest.Since
			}
			l := limited(time.Hour)
			l.Idle = l.Limit
			for range 8 {
				actions, _ := Decide(noon, facts, l, e)
				for _, a := range actions {
					e.Note(a, noon)
				}
				if len(actions) == 0 {
					return
				}
			}
			if actions, _ := Decide(noon, facts, l, e); len(actions) > 0 {
				t.Fatalf("does not come to an end: %v with %+v", actions, e)
			}
		}
	})
}
