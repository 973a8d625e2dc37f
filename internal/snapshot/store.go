package snapshot

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// errNoBlobs says that an engine's store cannot be asked for single blobs: it
// is a containerd store, and its API is older than 1.48.
var errNoBlobs = errors.New("the engine does not tell where an image's manifest is")

// readConfig reads the configuration that belongs to an image. author is its
// last author, which not every engine tells.
func (j *job) readConfig(ctx context.Context, id string) (*imageConfig, error) {
	if j.plan.engine.Store == engine.Containerd {
		manifest, err := j.readManifest(ctx, id)
		if err != nil {
			return nil, err
		}
		data, err := j.readBlob(ctx, manifest.Config)
		if err != nil {
			return nil, fmt.Errorf("read the configuration of image %s: %w", id, err)
		}
		return parseConfig(data)
	}
	var raw bytes.Buffer
	img, err := j.API.ImageInspect(ctx, id, client.ImageInspectWithRawResponse(&raw))
	if err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", id, err)
	}
	history, err := j.API.ImageHistory(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the history of image %s: %w", id, err)
	}
	return describedConfig(raw.Bytes(), img, history, j.req.Author)
}

// loadOver makes an image of a configuration and the layers of the image id,
// which the engine has: no layer is copied or sent. It returns the new image's
// id, which by the way ids are made proves that the engine holds just these
// bytes: it is the digest of the configuration, or of the manifest with the
// configuration's digest in it.
func (j *job) loadOver(ctx context.Context, id string, config *imageConfig) (string, error) {
	data, err := config.encode()
	if err != nil {
		return "", fmt.Errorf("encode the configuration: %w", err)
	}
	archive, want := io.Reader(nil), digest.FromBytes(data)
	if j.plan.engine.Store == engine.Containerd {
		manifest, err := j.readManifest(ctx, id)
		if err != nil {
			return "", err
		}
		manifest.Config.Digest, manifest.Config.Size = want, int64(len(data))
		archive, want, err = layout(manifest, data, "")
		if err != nil {
			return "", err
		}
	} else if archive, err = configArchive(data, want, len(config.layers)); err != nil {
		return "", err
	}
	got, err := j.load(ctx, archive)
	if err != nil {
		return got, fmt.Errorf("load the configuration: %w", err)
	}
	if got != want.String() {
		return got, fmt.Errorf("load the configuration: the engine made image %s of it instead of %s", got, want)
	}
	return got, nil
}

// load hands the engine an archive and returns the image it made of it, "" when
// the archive gave that a name.
func (j *job) load(ctx context.Context, archive io.Reader) (string, error) {
	// Once sent, the load is seen through to its end, so that its image is
	// known and can be removed after an interrupt.
	res, err := j.API.ImageLoad(context.WithoutCancel(ctx), archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var id string
	err = engine.ReadStream(res.Body, func(msg jsonmessage.JSONMessage) {
		if loaded := engine.LoadedImage(msg); loaded != "" {
			id = loaded
		}
	})
	return id, err
}

// configArchive is an image archive with a configuration and no layers: engines
// with a graphdriver look for layers by chain id first and open no file.
func configArchive(config []byte, sum digest.Digest, layers int) (io.Reader, error) {
	name := sum.Encoded() + ".json"
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
	return archive(file{name, config}, file{"manifest.json", manifest})
}

// readManifest reads an image's manifest out of a containerd store.
func (j *job) readManifest(ctx context.Context, id string) (ocispec.Manifest, error) {
	if j.manifestOf == id {
		return j.manifest, nil
	}
	img, err := j.API.ImageInspect(ctx, id)
	if err != nil {
		return ocispec.Manifest{}, fmt.Errorf("inspect image %s: %w", id, err)
	}
	at := img.Descriptor
	if at == nil {
		return ocispec.Manifest{}, errNoBlobs
	}
	if at.MediaType != ocispec.MediaTypeImageManifest && at.MediaType != mediaTypeDockerManifest {
		return ocispec.Manifest{}, fmt.Errorf("image %s is a %s, not a manifest", id, at.MediaType)
	}
	data, err := j.readBlob(ctx, *at)
	if err != nil {
		return ocispec.Manifest{}, fmt.Errorf("read the manifest of image %s: %w", id, err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		return ocispec.Manifest{}, fmt.Errorf("read the manifest of image %s: %w", id, err)
	}
	if manifest.MediaType == "" {
		manifest.MediaType = at.MediaType
	}
	j.manifestOf, j.manifest = id, manifest
	return manifest, nil
}

const mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

// carrier is the repository of the images that blobs are read through.
const carrier = "docker-kasm/temporary"

// readBlob reads one small blob out of a containerd store. The API gives whole
// images only, layers and all; so an image is made for the purpose whose one
// layer is that blob, by its digest alone, and that one is saved.
func (j *job) readBlob(ctx context.Context, at ocispec.Descriptor) ([]byte, error) {
	empty := []byte("{}")
	name := carrier + ":" + j.id
	through, _, err := layout(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.docker-kasm.blob",
		Config:       ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: digest.FromBytes(empty), Size: int64(len(empty))},
		Layers:       []ocispec.Descriptor{{MediaType: "application/octet-stream", Digest: at.Digest, Size: at.Size}},
	}, empty, "docker.io/"+name)
	if err != nil {
		return nil, err
	}
	if _, err := j.load(ctx, through); err != nil {
		return nil, err
	}
	data, err := j.saveBlob(ctx, name, at)
	return data, errors.Join(err, j.removeImage(context.WithoutCancel(ctx), name))
}

// saveBlob picks a blob out of the archive of an image.
func (j *job) saveBlob(ctx context.Context, name string, at ocispec.Descriptor) ([]byte, error) {
	saved, err := j.API.ImageSave(ctx, []string{name})
	if err != nil {
		return nil, err
	}
	defer saved.Close()
	for files := tar.NewReader(saved); ; {
		f, err := files.Next()
		if err != nil {
			return nil, fmt.Errorf("find blob %s in what the engine saved: %w", at.Digest, err)
		}
		if f.Name != blobPath(at.Digest) || f.Size != at.Size {
			continue
		}
		data, err := io.ReadAll(files)
		if err == nil && digest.FromBytes(data) != at.Digest {
			err = fmt.Errorf("blob %s has other content than its digest says", at.Digest)
		}
		return data, err
	}
}

func blobPath(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

// layout is an archive in OCI image layout
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md) with
// a manifest and its configuration, and no layers. It returns the manifest's
// digest too. name is a full reference, "" for an image without one.
func layout(manifest ocispec.Manifest, config []byte, name string) (io.Reader, digest.Digest, error) {
	data, err := json.Marshal(manifest)
	if err != nil {
		return nil, "", err
	}
	at := ocispec.Descriptor{MediaType: manifest.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if name != "" {
		at.Annotations = map[string]string{"io.containerd.image.name": name}
	}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{at},
	})
	if err != nil {
		return nil, "", err
	}
	version, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return nil, "", err
	}
	out, err := archive(
		file{ocispec.ImageLayoutFile, version}, file{ocispec.ImageIndexFile, index},
		file{blobPath(at.Digest), data}, file{blobPath(digest.FromBytes(config)), config},
	)
	return out, at.Digest, err
}

type file struct {
	name string
	data []byte
}

func archive(files ...file) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
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
