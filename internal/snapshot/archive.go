package snapshot

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/image"
)

// configArchive is an image archive with a configuration and no layers.
func configArchive(config []byte, layers int) (io.Reader, error) {
	sum := sha256.Sum256(config)
	name := hex.EncodeToString(sum[:]) + ".json"
	names := make([]string, layers)
	for i := range names {
		names[i] = fmt.Sprintf("layer-%d", i)
	}
	manifest, err := json.Marshal([]struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{name, nil, names}})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range []struct {
		name string
		data []byte
	}{{name, config}, {"manifest.json", manifest}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	return &buf, w.Close()
}

// repoDigest returns the manifest digest under which img was pulled or pushed,
// "" when it never was.
func repoDigest(img image.InspectResponse) string {
	for _, d := range img.RepoDigests {
		if _, digest, ok := strings.Cut(d, "@"); ok {
			return digest
		}
	}
	return ""
}
