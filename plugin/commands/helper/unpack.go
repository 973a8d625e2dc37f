package helper

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"

	"github.com/docker-kasm/docker-kasm/internal/deploy"
)

// unpack opens a program that is packed in files; fs.ErrNotExist if it is not
// there.
func unpack(files fs.FS, name string) (deploy.Binary, error) {
	packed, err := files.Open("embedded/" + name + ".gz")
	if err != nil {
		return deploy.Binary{}, fmt.Errorf("open the helper's program: %w", err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		return deploy.Binary{}, fmt.Errorf("unpack the helper's program: %w", err)
	}
	program, err := io.ReadAll(unpacked)
	if err != nil {
		return deploy.Binary{}, fmt.Errorf("unpack the helper's program: %w", err)
	}
	sum := sha256.Sum256(program)
	return deploy.Binary{
		ReadCloser: io.NopCloser(bytes.NewReader(program)), Size: int64(len(program)), Digest: hex.EncodeToString(sum[:]),
	}, nil
}
