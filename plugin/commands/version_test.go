package commands

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"
)

// stuck is the docker CLI with an engine that takes connections and never answers.
type stuck struct {
	command.Cli
	client.APIClient
}

func (s stuck) Client() client.APIClient { return s }

func (stuck) DockerEndpoint() docker.Endpoint {
	return docker.Endpoint{EndpointMeta: docker.EndpointMeta{Host: "unix:///stuck.sock"}}
}

func (stuck) ServerVersion(ctx context.Context) (types.Version, error) {
	<-ctx.Done()
	return types.Version{}, ctx.Err()
}

func TestVersionDoesNotWaitForEverForAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := askEngine(t.Context(), stuck{})
		if err == nil || !strings.Contains(err.Error(), "the engine at unix:///stuck.sock does not answer within 10s") {
			t.Errorf("got %v", err)
		}
	})
}

func TestVersionEndsWhenItIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := askEngine(ctx, stuck{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
