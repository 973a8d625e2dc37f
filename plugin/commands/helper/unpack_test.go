package helper

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"
)

const packedName = "kasm-helper-linux-amd64"

func packed(t *testing.T, program string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.WriteString(w, program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestAPackedProgramIsGivenWithSizeAndDigest(t *testing.T) {
	const program = "\x7fELF and so on"
	b, err := unpack(fstest.MapFS{"embedded/" + packedName + ".gz": {Data: packed(t, program)}}, packedName)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	sum := sha256.Sum256([]byte(program))
	got, err := io.ReadAll(b)
	if err != nil || string(got) != program || b.Size != int64(len(program)) || b.Digest != hex.EncodeToString(sum[:]) {
		t.Errorf("got %q, %d bytes, digest %s: %v", got, b.Size, b.Digest, err)
	}
}

func TestHalfAProgramIsNotGiven(t *testing.T) {
	whole := packed(t, "\x7fELF and so on")
	for cut := range whole {
		_, err := unpack(fstest.MapFS{"embedded/" + packedName + ".gz": {Data: whole[:cut]}}, packedName)
		// Else a file beside the plugin would be looked for.
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d of %d bytes: %v", cut, len(whole), err)
		}
	}
}

func TestAProgramThatIsNotPackedIsLookedForBesideThePlugin(t *testing.T) {
	if _, err := unpack(fstest.MapFS{}, packedName); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
