package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/pkg/jsonmessage"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestPushedDigestComesFromEitherStore(t *testing.T) {
	for name, c := range map[string]struct{ stream, want string }{
		"graphdriver: aux":             {`{"aux":{"Tag":"v1","Digest":"` + someDigest + `","Size":528}}`, someDigest},
		"containerd: last status":      {`{"status":"v1: digest: ` + someDigest + ` size: 528"}`, someDigest},
		"layer messages have none":     {`{"status":"Pushed","id":"abc"}`, ""},
		"an aux of another kind":       {`{"aux":{"ID":"` + someDigest + `"}}`, ""},
		"a status that only mentions":  {`{"status":"digest: ` + someDigest + ` is there"}`, ""},
		"manifestPushedInsteadOfIndex": {`{"aux":{"manifestPushedInsteadOfIndex":true,"Tag":""}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			err := ReadStream(strings.NewReader(c.stream), func(m jsonmessage.JSONMessage) { got = PushedDigest(m) })
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestReadStreamFailsOnErrorsInsideIt(t *testing.T) {
	for name, c := range map[string]struct{ stream, want string }{
		"errorDetail":          {`{"status":"a"}{"errorDetail":{"message":"denied: no"},"error":"denied: no"}`, "denied: no"},
		"cut off in the midst": {`{"status":"a"}{"status":`, "read the engine's progress messages"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ReadStream(strings.NewReader(c.stream), nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestClassifyRegistryError(t *testing.T) {
	// The texts are those of engines 20.10 and 29.
	for _, c := range []struct {
		err  error
		want Access
	}{
		{nil, Present},
		{fmt.Errorf("x: %w", cerrdefs.ErrNotFound), Absent},
		{fmt.Errorf("manifest unknown: manifest unknown"), Absent},
		{fmt.Errorf("x: %w", cerrdefs.ErrUnauthenticated), Denied},
		{errors.New(`Head "http://127.0.0.1:5001/v2/x/manifests/1": no basic auth credentials`), Denied},
		{errors.New("push access denied, repository does not exist or may require authorization"), Denied},
		{errors.New("unauthorized: authentication required"), Denied},
		{errors.New(`Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused`), Unreachable},
		{errors.New("no such host"), Unreachable},
	} {
		if got := ClassifyRegistryError(c.err); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
	}
}

type registryAnswers struct{ inspect, login error }

func (r registryAnswers) DistributionInspect(context.Context, string, string) (registry.DistributionInspect, error) {
	return registry.DistributionInspect{}, r.inspect
}

func (r registryAnswers) RegistryLogin(context.Context, registry.AuthConfig) (registry.AuthenticateOKBody, error) {
	return registry.AuthenticateOKBody{}, r.login
}

func TestCheckPush(t *testing.T) {
	denied := fmt.Errorf("x: %w", cerrdefs.ErrUnauthenticated)
	user := registry.AuthConfig{Username: "me", Password: "hunter2"}
	for name, c := range map[string]struct {
		auth    registry.AuthConfig
		answers registryAnswers
		want    string
	}{
		"a new name without login":  {registry.AuthConfig{}, registryAnswers{inspect: cerrdefs.ErrNotFound}, ""},
		"no login where one wanted": {registry.AuthConfig{}, registryAnswers{inspect: denied}, "you are not logged in: log in with `docker login reg`"},
		"wrong credentials":         {user, registryAnswers{login: denied}, "does not take your credentials"},
		"right credentials":         {user, registryAnswers{inspect: denied}, ""},
		"registry down":             {user, registryAnswers{login: errors.New("connection refused")}, "cannot be reached from the engine"},
		"a token for the registry":  {registry.AuthConfig{RegistryToken: "t"}, registryAnswers{inspect: denied, login: denied}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckPush(t.Context(), c.answers, "reg/x:1", "reg", c.auth)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

type info [][2]string

func (i info) Info(context.Context) (system.Info, error) { return system.Info{DriverStatus: i}, nil }

func TestInspectTellsTheStores(t *testing.T) {
	for _, c := range []struct {
		status info
		want   Store
	}{
		{info{{"Backing Filesystem", "extfs"}}, Graphdriver},
		{info{{"driver-type", "io.containerd.snapshotter.v1"}}, Containerd},
		{nil, Graphdriver},
	} {
		if got, err := Inspect(t.Context(), c.status); err != nil || got.Store != c.want {
			t.Errorf("%v: got %s, %v", c.status, got.Store, err)
		}
	}
}
