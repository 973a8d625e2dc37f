package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/go-units"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// addMounts brings the content of mounts into the image, as one more layer: it
// is streamed into a container of the image that is never started, and that
// one is committed.
func (j *job) addMounts(ctx context.Context) error {
	if len(j.plan.mounts) == 0 {
		return nil
	}
	id, err := j.helperContainer(ctx)
	if err != nil {
		return err
	}
	var size int64
	for _, m := range j.plan.mounts {
		n, err := j.copyMount(ctx, m.Destination, id)
		if err != nil {
			return fmt.Errorf("bring the content of %s into the image: %w", m.Destination, err)
		}
		size += n
		j.result.Included = append(j.result.Included, m.Destination)
		j.info("brought in: the content of %s (%s)", m.Destination, units.HumanSizeWithPrecision(float64(n), 3))
	}
	j.result.SizeWritten += size
	committed, err := j.requestCommit(ctx, id, size, false, container.CommitOptions{Comment: "content of mounts", Author: j.req.Author})
	j.replace(committed)
	if err != nil {
		return err
	}
	now := j.Now().UTC()
	return errors.Join(j.removeContainer(ctx), j.readLayers(ctx, ocispec.History{
		Created: &now, CreatedBy: "docker kasm commit --include-mount", Author: j.req.Author,
	}))
}

// copyMount streams the content of a mount and returns its size in bytes, as
// an archive.
func (j *job) copyMount(ctx context.Context, at, to string) (int64, error) {
	content, _, err := j.API.CopyFromContainer(ctx, j.plan.session.ID, at)
	if err != nil {
		return 0, err
	}
	defer content.Close()
	counted := &counter{r: content}
	err = j.API.CopyToContainer(ctx, to, path.Dir(at), counted, container.CopyToContainerOptions{AllowOverwriteDirWithFile: true})
	return counted.n, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// flatten makes one layer of all the image's.
func (j *job) flatten(ctx context.Context) error {
	from := j.plan.session.ID
	unplanned := j.config == nil
	if !unplanned || !j.plan.exported {
		var err error
		if from, err = j.helperContainer(ctx); err != nil {
			return err
		}
	}
	files, err := j.API.ContainerExport(ctx, from)
	if err != nil {
		return fmt.Errorf("read the files of session %q: %w", j.plan.session.Name, err)
	}
	defer files.Close()
	imported, err := j.importFiles(ctx, files)
	j.replace(imported)
	if err != nil {
		return fmt.Errorf("flatten the image: %w", err)
	}
	if unplanned {
		if err := j.planCommitted(ctx); err != nil {
			return err
		}
	}
	j.config.history = nil
	now := j.Now().UTC()
	return errors.Join(j.removeContainer(ctx), j.readLayers(ctx, ocispec.History{
		Created: &now, CreatedBy: "docker kasm commit --flatten", Author: j.req.Author, Comment: j.req.Message,
	}))
}

func (j *job) importFiles(ctx context.Context, files io.Reader) (string, error) {
	// An engine that has all files makes the image even if nobody waits for it
	// any more: an interrupt ends what is sent, and the answer is awaited. The
	// label lets a later run find the image should this one be killed.
	source := &interruptible{ctx, files}
	body, err := j.API.ImageImport(context.WithoutCancel(ctx), image.ImportSource{Source: source, SourceName: "-"}, "", image.ImportOptions{
		Changes: []string{fmt.Sprintf("LABEL %s.id=%s", LabelSnapshot, j.id)},
	})
	if err != nil {
		return "", err
	}
	defer body.Close()
	var id string
	err = engine.ReadStream(body, func(msg jsonmessage.JSONMessage) {
		if imported := engine.ImportedImage(msg); imported != "" {
			id = imported
		}
	})
	if err == nil && id == "" {
		err = errors.New("the engine did not say which image it imported")
	}
	return id, err
}

// interruptible is a reader that fails once ctx ends.
type interruptible struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to know
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// planCommitted makes the configuration of an image that was never committed,
// from the plan: the rest is what the parent image says of its platform.
func (j *job) planCommitted(ctx context.Context) error {
	config, err := j.readConfig(ctx, j.image)
	if err != nil {
		return err
	}
	parent := j.plan.parent
	if !j.plan.parentGone {
		for key, value := range map[string]string{"architecture": parent.Architecture, "variant": parent.Variant, "os": parent.Os} {
			if err := setRoot(config, key, value); err != nil {
				return err
			}
		}
	}
	if err := setRoot(config, "author", j.req.Author); err != nil {
		return err
	}
	if err := config.replace(j.plan.expected); err != nil {
		return err
	}
	j.config = config
	return nil
}

// helperContainer makes a container of the image that is never started. The
// image's volumes are left out, as an engine would copy their content.
func (j *job) helperContainer(ctx context.Context) (string, error) {
	if j.config == nil {
		return "", fmt.Errorf("change the layers of the committed image: %w", errNoBlobs)
	}
	plain, err := j.loadOver(ctx, j.image, j.config.without("Volumes"))
	j.replace(plain)
	if err != nil {
		return "", fmt.Errorf("prepare the committed image: %w", err)
	}
	// An engine makes the container even if nobody waits for it any more.
	created, err := j.API.ContainerCreate(context.WithoutCancel(ctx), &container.Config{
		// Some command has to be given; it is never run.
		Image: plain, Cmd: []string{"docker-kasm"}, Labels: map[string]string{LabelSnapshot + ".id": j.id},
	}, &container.HostConfig{NetworkMode: "none"}, nil, nil, helperName(j.id))
	if err != nil {
		return "", fmt.Errorf("make a container of the committed image: %w", err)
	}
	j.helper = created.ID
	return created.ID, nil
}

// helperName is the name of the container that a run makes layers in.
func helperName(run string) string { return "docker-kasm-" + run }

// IsTemporary tells by name and labels whether a container is one that a snapshot
// makes layers in. Sessions that were launched from its image have the labels too.
func IsTemporary(name string, labels map[string]string) bool {
	run := labels[LabelSnapshot+".id"]
	return run != "" && name == helperName(run)
}

// removeContainer removes the container that layers were made in.
func (j *job) removeContainer(ctx context.Context) error {
	if j.helper == "" {
		return nil
	}
	err := j.API.ContainerRemove(ctx, j.helper, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("remove the temporary container %s: %w; remove it with `docker rm %s`", j.helper, err, j.helper)
	}
	j.helper = ""
	return nil
}

// readLayers takes the layers of the current image over into the configuration
// and adds an entry to its history, unless the layer is an empty one.
func (j *job) readLayers(ctx context.Context, entry ocispec.History) error {
	img, err := j.API.ImageInspect(ctx, j.image)
	if err != nil {
		return fmt.Errorf("inspect image %s: %w", j.image, err)
	}
	entry.EmptyLayer = len(img.RootFS.Layers) == len(j.config.layers) && len(j.config.history) > 0
	j.config.layers = img.RootFS.Layers
	j.config.history = append(j.config.history, entry)
	return nil
}
