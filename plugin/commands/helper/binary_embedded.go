//go:build embedhelper

package helper

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
)

// programs are made by `make release`.
//
//go:embed embedded/kasm-helper-linux-*.gz
var programs embed.FS

func embedded(name string) (deploy.Binary, error) {
	packed, err := programs.Open("embedded/" + name + ".gz")
	if err != nil {
		return deploy.Binary{}, err
	}
	defer packed.Close()
	unpack, err := gzip.NewReader(packed)
	if err != nil {
		return deploy.Binary{}, fmt.Errorf("unpack the helper's program: %w", err)
	}
	program, err := io.ReadAll(unpack)
	if err != nil {
		return deploy.Binary{}, fmt.Errorf("unpack the helper's program: %w", err)
	}
	sum := sha256.Sum256(program)
	return deploy.Binary{
		ReadCloser: io.NopCloser(bytes.NewReader(program)), Size: int64(len(program)), Digest: hex.EncodeToString(sum[:]),
	}, nil
}
