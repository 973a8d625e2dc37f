//go:build embedhelper

package helper

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// It runs where `make release` has packed the programs, and nothing is beside the
// test's own.
func TestReleaseGivesTheHelperForEachPlatform(t *testing.T) {
	for platform, machine := range map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64} {
		t.Run(platform, func(t *testing.T) {
			b, err := binary(platform)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			program, err := io.ReadAll(b)
			if err != nil {
				t.Fatal(err)
			}
			file, err := elf.NewFile(bytes.NewReader(program))
			if err != nil {
				t.Fatal(err)
			}
			if file.Machine != machine || file.Type != elf.ET_EXEC {
				t.Errorf("it is a %v for %v", file.Type, file.Machine)
			}
			if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
				t.Error("it needs libraries, which are not in its container")
			}
			if platform != runtime.GOOS+"/"+runtime.GOARCH {
				return
			}
			path := filepath.Join(t.TempDir(), "kasm-helper")
			if err := os.WriteFile(path, program, 0o700); err != nil {
				t.Fatal(err)
			}
			said, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
			if want := "kasm-helper " + os.Getenv("KASM_TEST_VERSION") + " "; err != nil || !strings.HasPrefix(string(said), want) {
				t.Errorf("it says %q, want %q: %v", said, want, err)
			}
		})
	}
}
