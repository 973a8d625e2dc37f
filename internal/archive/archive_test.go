package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// member is something in a tar.
type member struct {
	name, text string
	kind       byte
}

func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: m.kind, Mode: 0o777, Size: int64(len(m.text))}
		if m.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.kind == tar.TypeSymlink {
			h.Linkname = "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	in := []Entry{{Name: "b", Data: []byte("image = 'b' # mine\n")}, {Name: "a", Data: []byte("not toml")}, {Name: strings.Repeat("n", 128), Data: []byte{}}}
	var out, again bytes.Buffer
	if err := Write(&out, in); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(in)
	if err := Write(&again, in); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("the same files in another order make another archive")
	}
	got, err := Read(&out)
	if err != nil || len(got) != 3 || got[0].Name != "a" || string(got[0].Data) != "not toml" || string(got[1].Data) != "image = 'b' # mine\n" || len(got[2].Name) != 128 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAnArchiveTellsNothingOfItsMaker(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, []Entry{{Name: "a", Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	h, err := tar.NewReader(&out).Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Mode != 0o600 || h.ModTime.Unix() != 0 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || len(h.PAXRecords) != 0 {
		t.Errorf("got %+v", h)
	}
}

func TestReadTakesOnlyWorkspaceFiles(t *testing.T) {
	got, err := Read(bytes.NewReader(pack(t,
		member{name: "./", kind: tar.TypeDir},
		member{name: "./good.toml", text: "1"},
		member{name: "deep/down/other.toml", text: "2"},
		member{name: "/rooted.toml", text: "3"},
		member{name: "README.md", text: "no"},
		member{name: "._good.toml", text: "no"},
		member{name: ".toml", text: "no"},
		member{name: "folder.toml/", kind: tar.TypeDir},
		member{name: "x/good.toml", text: "again"},
		member{name: "link.toml", kind: tar.TypeSymlink},
		member{name: "pipe.toml", kind: tar.TypeFifo},
		member{name: "Upper Case.toml", text: "no"},
		member{name: "large.toml", text: strings.Repeat("x", workspace.MaxFile+1)},
		member{name: "after.toml", text: "4"},
	)))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range got {
		line := e.Name + "=" + string(e.Data)
		if e.Err != nil {
			line = e.Name + ": " + e.Err.Error()
		}
		lines = append(lines, line)
	}
	want := []string{
		"good: there are several files good.toml", "other=2", "rooted=3", "link: link.toml is not a regular file",
		"pipe: pipe.toml is not a regular file", `Upper Case: invalid workspace name "Upper Case"`, "large: large.toml is larger than", "after=4",
	}
	if !slices.EqualFunc(lines, want, strings.HasPrefix) {
		t.Errorf("got:\n%s", strings.Join(lines, "\n"))
	}
}

func TestReadRefusesWhatIsNoArchiveOfWorkspaces(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(pack(t)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	many := make([]member, maxEntries+1)
	for i := range many {
		many[i] = member{name: "README"}
	}
	huge := make([]member, maxTotal/workspace.MaxFile+1)
	full := strings.Repeat("x", workspace.MaxFile)
	for i := range huge {
		huge[i] = member{name: "w" + strings.Repeat("a", i) + ".toml", text: full}
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":            {nil, "it is empty"},
		"another format":     {[]byte(strings.Repeat("image = 'x'\n", 100)), "read it as a tar"},
		"compressed":         {zipped.Bytes(), "gzip -dc"},
		"leads out":          {pack(t, member{name: "../x.toml", text: "1"}), "leads out"},
		"leads out inside":   {pack(t, member{name: "a/../../x.toml", text: "1"}), "leads out"},
		"cut off":            {pack(t, member{name: "x.toml", text: strings.Repeat("x", 2000)})[:1400], "unexpected EOF"},
		"cut off between":    {pack(t, member{name: "x.toml", text: "1"}, member{name: "y.toml", text: "1"})[:1024], "cut off"},
		"cut off behind":     {pack(t, member{name: "x.toml", text: "1"}, member{name: "y.toml", text: "1"})[:600], "cut off"},
		"too many":           {pack(t, many...), "more than the 10000"},
		"too large together": {pack(t, huge...), "bytes together"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(bytes.NewReader(c.data))
			for _, e := range got {
				if e.Err != nil {
					err = e.Err
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q is not in: %v", c.want, err)
			}
		})
	}
}

func TestFoldersAreReadWithoutThoseInThem(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	for file, text := range map[string]string{
		filepath.Join(dir, "b.toml"): "b", filepath.Join(dir, "a.toml"): "a", filepath.Join(dir, "a-2.toml"): "a-2", filepath.Join(dir, "notes.txt"): "no",
		filepath.Join(elsewhere, "real.toml"): "linked",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"link.toml": filepath.Join(elsewhere, "real.toml"), "zbroken.toml": "nowhere", "zfolder.toml": elsewhere} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "deep.toml"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := ReadDir(dir)
	if err != nil || len(got) != 6 {
		t.Fatalf("got %v, %v", got, err)
	}
	for i, want := range []Entry{{Name: "a", Data: []byte("a")}, {Name: "a-2", Data: []byte("a-2")}, {Name: "b", Data: []byte("b")}, {Name: "link", Data: []byte("linked")}} {
		if got[i].Name != want.Name || !bytes.Equal(got[i].Data, want.Data) || got[i].Err != nil {
			t.Errorf("got %v instead of %v", got[i], want)
		}
	}
	if got[4].Err == nil || got[5].Err == nil {
		t.Errorf("links that lead to no file were read: %v", got[4:])
	}
	if _, err := ReadDir(filepath.Join(dir, "absent")); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestAFileIsNamedAfterItsWorkspace(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"x.toml", "x.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadFile(filepath.Join(dir, "x.toml")); err != nil || len(got) != 1 || got[0].Name != "x" || string(got[0].Data) != "x" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ReadFile(filepath.Join(dir, "x.txt")); err == nil {
		t.Error("a file without .toml was read")
	}
}

func TestWritingKeepsWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	old, fresh := []Entry{{Name: "b", Data: []byte("old")}}, []Entry{{Name: "a", Data: []byte("new")}, {Name: "b", Data: []byte("new")}}
	if err := WriteDir(dir, old, false); err != nil {
		t.Fatal(err)
	}
	if err := WriteDir(dir, fresh, false); err == nil || !strings.Contains(err.Error(), "b.toml is already there") {
		t.Errorf("got %v", err)
	}
	if got, err := ReadDir(dir); err != nil || len(got) != 1 || string(got[0].Data) != "old" {
		t.Errorf("after a refusal there is %v, %v", got, err)
	}
	if err := WriteDir(dir, fresh, true); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadDir(dir); err != nil || len(got) != 2 || string(got[1].Data) != "new" {
		t.Errorf("got %v, %v", got, err)
	}
	file := filepath.Join(dir, "all.tar")
	if err := WriteFile(file, old, false); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, fresh, false); err == nil || !strings.Contains(err.Error(), "already there") {
		t.Errorf("got %v", err)
	}
	if err := WriteFile(file, fresh, true); err != nil {
		t.Error(err)
	}
}

func TestNothingIsWrittenElsewhere(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"../x", "a/b", `..\x`, "", "c:x"} {
		entries := []Entry{{Name: name, Data: []byte("x")}}
		if err := WriteDir(filepath.Join(dir, "in"), entries, true); err == nil {
			t.Errorf("%q was written to a folder", name)
		}
		if err := Write(&bytes.Buffer{}, entries); err == nil {
			t.Errorf("%q was written to an archive", name)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(pack(f, member{name: "a.toml", text: "image = 'x'"}, member{name: "../b.toml", text: "x"}))
	f.Add(pack(f, member{name: "link.toml", kind: tar.TypeSymlink}, member{name: "Bad.toml"}))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := Read(bytes.NewReader(data))
		seen := map[string]bool{}
		var good []Entry
		for _, e := range entries {
			if e.Err != nil {
				if e.Data != nil {
					t.Fatalf("%q has data and %v", e.Name, e.Err)
				}
				continue
			}
			if workspace.ValidName(e.Name) != nil || seen[e.Name] || len(e.Data) > workspace.MaxFile {
				t.Fatalf("read %q of %d bytes", e.Name, len(e.Data))
			}
			seen[e.Name] = true
			good = append(good, e)
		}
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Write(&out, good); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&out)
		if err != nil || len(again) != len(good) {
			t.Fatalf("%v became %v, %v", good, again, err)
		}
	})
}
