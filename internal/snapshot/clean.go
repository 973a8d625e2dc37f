package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// clean takes what was given at run time out of the new image. A graphdriver
// keeps the container's whole configuration inside the image's, and sends it
// along on a push; there the image is loaded again under a rewritten
// configuration, which costs no copy of a layer. The containerd store keeps no
// such copy, and the blanks that the commit wrote are all there is to do.
func (j *job) clean(ctx context.Context) error {
	var raw bytes.Buffer
	img, err := j.API.ImageInspect(ctx, j.committed, client.ImageInspectWithRawResponse(&raw))
	if err != nil {
		return fmt.Errorf("inspect the committed image %s: %w", j.committed, err)
	}
	if j.plan.engine.Store == engine.Containerd {
		j.result.Blanked = append(shown(j.plan.env), shown(j.plan.labels)...)
		if len(j.result.Blanked) > 0 {
			j.info("on this engine's image store the names stay, with empty values: %s", strings.Join(j.result.Blanked, ", "))
		}
		return nil
	}
	history, err := j.API.ImageHistory(ctx, j.committed)
	if err != nil {
		return fmt.Errorf("read the history of the committed image %s: %w", j.committed, err)
	}
	config, err := j.rewrite(raw.Bytes(), img, history)
	if err != nil {
		return fmt.Errorf("rewrite the configuration of the committed image %s: %w", j.committed, err)
	}
	clean, err := j.loadConfig(ctx, config, len(img.RootFS.Layers))
	if err != nil {
		return fmt.Errorf("load the cleaned configuration: %w", err)
	}
	if clean == j.committed {
		return nil
	}
	j.replaced, j.committed = j.committed, clean
	if err := j.removeImage(ctx, j.replaced); err != nil {
		return err
	}
	j.replaced = ""
	j.result.Dropped = append(shown(j.plan.env), shown(j.plan.labels)...)
	return nil
}

// containerOnly are the keys of a container's configuration that describe one
// container and not what may be run of an image.
func containerOnly() []string {
	return []string{
		"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce",
		"Image", "MacAddress", "NetworkDisabled",
	}
}

// rewrite builds the image's configuration file anew from what the engine
// tells of it (https://github.com/moby/docker-image-spec), leaving out the
// container's configuration, its id, and the values that must go.
func (j *job) rewrite(raw []byte, img image.InspectResponse, history []image.HistoryResponseItem) ([]byte, error) {
	var inspected struct {
		Config map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &inspected); err != nil {
		return nil, err
	}
	config := inspected.Config
	maps.DeleteFunc(config, func(k string, _ json.RawMessage) bool { return slices.Contains(containerOnly(), k) })
	for key, value := range map[string]any{
		"Env":    j.plan.env.withoutBlank(img.Config.Env),
		"Labels": j.cleanLabels(img.Config.Labels),
	} {
		data, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		config[key] = data
	}
	type rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	return json.Marshal(struct {
		Architecture string                     `json:"architecture"`
		Variant      string                     `json:"variant,omitempty"`
		OS           string                     `json:"os"`
		OSVersion    string                     `json:"os.version,omitempty"`
		Created      string                     `json:"created"`
		Author       string                     `json:"author,omitempty"`
		Config       map[string]json.RawMessage `json:"config"`
		RootFS       rootFS                     `json:"rootfs"`
		History      []historyEntry             `json:"history"`
	}{
		img.Architecture, img.Variant, img.Os, img.OsVersion, img.Created, img.Author, config,
		rootFS{Type: "layers", DiffIDs: append([]string{}, img.RootFS.Layers...)},
		j.rewriteHistory(img, history),
	})
}

func (j *job) cleanLabels(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	maps.DeleteFunc(out, func(name, value string) bool {
		_, added := j.plan.labels.added[name]
		return added && value == ""
	})
	return out
}

type historyEntry struct {
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"created_by,omitempty"`
	Author     string    `json:"author,omitempty"`
	Comment    string    `json:"comment,omitempty"`
	EmptyLayer bool      `json:"empty_layer,omitempty"`
}

// rewriteHistory turns the engine's answer, newest first, back into the
// configuration's history, oldest first. The engine does not say which entries
// have no layer; where sizes do not tell for certain, each layer gets an entry
// without a text, as the number of those with a layer has to be right.
func (j *job) rewriteHistory(img image.InspectResponse, items []image.HistoryResponseItem) []historyEntry {
	layers := len(img.RootFS.Layers)
	filled := 0
	for _, item := range items {
		if item.Size > 0 {
			filled++
		}
	}
	out := make([]historyEntry, 0, len(items))
	for _, item := range slices.Backward(items) {
		out = append(out, historyEntry{
			Created: time.Unix(item.Created, 0).UTC(), CreatedBy: item.CreatedBy, Comment: item.Comment,
			EmptyLayer: item.Size == 0 && filled == layers,
		})
	}
	if filled != layers && len(items) != layers {
		out = slices.Repeat([]historyEntry{{Created: time.Unix(0, 0).UTC()}}, layers)
	}
	if len(out) > 0 {
		last := &out[len(out)-1]
		last.Author = j.req.Author
		// The engine writes the session's command line here.
		if leaks := j.plan.env.foundIn([]string{last.CreatedBy}); len(leaks) > 0 {
			last.CreatedBy = "docker kasm commit"
		}
	}
	return out
}

// loadConfig makes an image from a configuration whose layers the engine has.
// The archive names the layers without holding them: engines with a
// graphdriver look for them by chain id first and open no file.
func (j *job) loadConfig(ctx context.Context, config []byte, layers int) (string, error) {
	archive, err := configArchive(config, layers)
	if err != nil {
		return "", err
	}
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
	if err != nil {
		return "", err
	}
	if id == "" {
		return "", fmt.Errorf("the engine did not say which image it loaded")
	}
	return id, nil
}

// provenance are the labels that say where the new image comes from.
func (j *job) provenance() map[string]string {
	p := j.plan
	now := j.Now().UTC().Format(time.RFC3339)
	labels := map[string]string{
		LabelSnapshot + ".created":           now,
		LabelSnapshot + ".parent":            p.container.Config.Image,
		LabelSnapshot + ".parent.id":         p.container.Image,
		"org.opencontainers.image.created":   now,
		"org.opencontainers.image.base.name": p.container.Config.Image,
	}
	if p.session.Kind == session.Managed && p.session.Workspace != "" {
		labels[LabelSnapshot+".workspace"] = p.session.Workspace
	}
	if d := repoDigest(p.parent); d != "" {
		labels["org.opencontainers.image.base.digest"] = d
	}
	return labels
}

// LabelSnapshot is the prefix of the labels that tell where an image made by a
// snapshot comes from.
const LabelSnapshot = "io.github.docker-kasm.snapshot"
