package snapshot

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// imageConfig is an image's configuration file
// (https://github.com/moby/docker-image-spec), taken apart as far as a snapshot
// changes it. Keys that are not known here stay as they are.
type imageConfig struct {
	root, config map[string]json.RawMessage
	layers       []string
	history      []ocispec.History
}

func parseConfig(data []byte) (*imageConfig, error) {
	var c imageConfig
	if err := json.Unmarshal(data, &c.root); err != nil {
		return nil, err
	}
	for key, part := range map[string]any{"config": &c.config, "history": &c.history} {
		if raw, ok := c.root[key]; ok {
			if err := json.Unmarshal(raw, part); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	var rootfs ocispec.RootFS
	if err := json.Unmarshal(c.root["rootfs"], &rootfs); err != nil {
		return nil, fmt.Errorf("rootfs: %w", err)
	}
	for _, id := range rootfs.DiffIDs {
		c.layers = append(c.layers, id.String())
	}
	if c.config == nil {
		c.config = map[string]json.RawMessage{}
	}
	return &c, nil
}

// decode reads what is run of the image into v.
func (c *imageConfig) decode(v any) error {
	data, err := json.Marshal(c.config)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// setConfig replaces one key of what is run of the image; a value of length 0
// removes it.
func setConfig(c *imageConfig, key string, value any, length int) error {
	if length == 0 {
		delete(c.config, key)
		return nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	c.config[key] = data
	return nil
}

// replace replaces all of what is run of the image.
func (c *imageConfig) replace(config container.Config) error {
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	c.config = nil
	return json.Unmarshal(data, &c.config)
}

// setRoot sets a text outside of what is run of the image, unless it is empty.
func setRoot(c *imageConfig, key, value string) error {
	if value == "" {
		return nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	c.root[key] = data
	return nil
}

// without returns a copy that lacks a key of what is run of the image.
func (c *imageConfig) without(key string) *imageConfig {
	out := *c
	out.config = maps.Clone(c.config)
	delete(out.config, key)
	return &out
}

func (c *imageConfig) encode() ([]byte, error) {
	root := maps.Clone(c.root)
	for key, part := range map[string]any{
		"config":  c.config,
		"history": c.history,
		"rootfs": struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		}{"layers", append([]string{}, c.layers...)},
	} {
		data, err := json.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		root[key] = data
	}
	return json.Marshal(root)
}

// describedConfig builds a configuration file anew from what the engine tells of
// an image, which is all but the container's configuration and the texts that
// only a whole copy of the image would show.
func describedConfig(raw []byte, img image.InspectResponse, history []image.HistoryResponseItem, author string) (*imageConfig, error) {
	var inspected struct {
		Config map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &inspected); err != nil {
		return nil, err
	}
	c := &imageConfig{
		root: map[string]json.RawMessage{}, config: inspected.Config,
		layers: img.RootFS.Layers, history: describedHistory(len(img.RootFS.Layers), history, author),
	}
	if c.config == nil {
		c.config = map[string]json.RawMessage{}
	}
	for key, value := range map[string]string{
		"architecture": img.Architecture, "variant": img.Variant, "os": img.Os, "os.version": img.OsVersion,
		"created": img.Created, "author": img.Author,
	} {
		if err := setRoot(c, key, value); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// describedHistory turns the engine's answer, newest first, back into the
// configuration's history, oldest first. The engine does not say which entries
// have no layer; where sizes do not tell for certain, each layer gets an entry
// without a text, as the number of those with a layer has to be right.
func describedHistory(layers int, items []image.HistoryResponseItem, author string) []ocispec.History {
	filled := 0
	for _, item := range items {
		if item.Size > 0 {
			filled++
		}
	}
	out := make([]ocispec.History, 0, len(items))
	for _, item := range slices.Backward(items) {
		created := time.Unix(item.Created, 0).UTC()
		out = append(out, ocispec.History{
			Created: &created, CreatedBy: item.CreatedBy, Comment: item.Comment,
			EmptyLayer: item.Size == 0 && filled == layers,
		})
	}
	if filled != layers && len(items) != layers {
		out = slices.Repeat([]ocispec.History{{Created: &time.Time{}}}, layers)
	}
	if len(out) > 0 {
		out[len(out)-1].Author = author
	}
	return out
}
