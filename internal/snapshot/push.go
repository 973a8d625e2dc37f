package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
)

// push sends the image to its registry. A failure or an interrupt is kept for
// the end: the image and its registration stand without it.
func (j *job) push(ctx context.Context) error {
	digest, err := j.pushImage(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		j.pushErr = err
		return nil
	}
	j.result.Digest = digest
	return nil
}

func (j *job) pushImage(ctx context.Context) (string, error) {
	auth, err := registry.EncodeAuthConfig(j.auth)
	if err != nil {
		return "", fmt.Errorf("encode the credentials for %s: %w", imageref.Host(j.plan.ref), err)
	}
	body, err := j.API.ImagePush(ctx, j.plan.ref.String(), image.PushOptions{RegistryAuth: auth})
	if err != nil {
		return "", err
	}
	defer body.Close()
	var digest string
	err = engine.ReadStream(body, func(msg jsonmessage.JSONMessage) {
		if d := engine.PushedDigest(msg); d != "" {
			digest = d
		}
		if msg.Aux == nil && j.Sink != nil {
			j.Sink(Event{Time: j.Now(), Step: j.step, Type: Progress, Layer: &msg})
		}
	})
	if err != nil {
		return "", err
	}
	if digest == "" {
		return "", errors.New("the engine reported no digest for the pushed tag")
	}
	return digest, nil
}
