package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// deep loads an image that is BASE with layers on top, so that it has as many as
// asked for: `deep IMAGE LAYERS`. Layer N holds /layers/N.
func deep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: deep IMAGE LAYERS")
	}
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	work := ts.MkAbs("deep")
	ts.Check(ts.Exec("mkdir", "-p", work))
	ts.Check(ts.Exec("docker", "save", "-o", work+"/base.tar", ts.Getenv("BASE")))
	ts.Check(ts.Exec("tar", "-C", work, "-xf", work+"/base.tar"))
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(work+"/manifest.json")), &manifest))
	var config map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(work+"/"+manifest[0].Config)), &config))
	rootfs, _ := config["rootfs"].(map[string]any)
	ids, _ := rootfs["diff_ids"].([]any)
	delete(config, "history")

	var image bytes.Buffer
	out := tar.NewWriter(&image)
	add := func(name string, data []byte) {
		ts.Check(out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}))
		_, err := out.Write(data)
		ts.Check(err)
	}
	for _, name := range manifest[0].Layers {
		add(name, []byte(ts.ReadFile(work+"/"+name)))
	}
	for n := len(ids); n < count; n++ {
		var layer bytes.Buffer
		files := tar.NewWriter(&layer)
		ts.Check(files.WriteHeader(&tar.Header{Name: fmt.Sprintf("layers/%d", n), Mode: 0o644}))
		ts.Check(files.Close())
		sum := sha256.Sum256(layer.Bytes())
		ids = append(ids, "sha256:"+hex.EncodeToString(sum[:]))
		name := fmt.Sprintf("layer%d.tar", n)
		manifest[0].Layers = append(manifest[0].Layers, name)
		add(name, layer.Bytes())
	}
	rootfs["diff_ids"] = ids
	data, err := json.Marshal(config)
	ts.Check(err)
	add("config.json", data)
	manifest[0].Config, manifest[0].RepoTags = "config.json", []string{args[0]}
	data, err = json.Marshal(manifest)
	ts.Check(err)
	add("manifest.json", data)
	ts.Check(out.Close())
	ts.Check(os.WriteFile(work+"/image.tar", image.Bytes(), 0o600))
	ts.Check(ts.Exec("docker", "load", "-i", work+"/image.tar"))
}
