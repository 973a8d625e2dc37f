package helper

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
	"github.com/docker-kasm/docker-kasm/internal/dial"
)

// binary opens the helper's program for a platform such as linux/amd64: the one
// in this program, or else the one in a file beside it.
func binary(platform string) (deploy.Binary, error) {
	name := dial.Binary + "-" + strings.ReplaceAll(platform, "/", "-")
	if b, err := unpack(programs, name); !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return deploy.Binary{}, fmt.Errorf("look for the helper's program: %w", err)
	}
	path := filepath.Join(filepath.Dir(self), name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return deploy.Binary{}, fmt.Errorf("the helper's program for %s is not there: put it at %s; `make install` does so", platform, path)
	}
	if err != nil {
		return deploy.Binary{}, fmt.Errorf("open the helper's program: %w", err)
	}
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return deploy.Binary{}, errors.Join(fmt.Errorf("read the helper's program: %w", err), f.Close())
	}
	return deploy.Binary{ReadCloser: f, Size: size, Digest: hex.EncodeToString(sum.Sum(nil))}, nil
}
