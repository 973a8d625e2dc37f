package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/registry"
)

// Access is what a registry, asked through the engine, makes of a name.
type Access string

const (
	// Present means: the registry has the name.
	Present Access = "present"
	// Absent means: the registry answered that it does not have the name.
	Absent Access = "absent"
	// Denied means: the registry wants credentials, or other ones. Docker Hub answers
	// so for a missing private repository too.
	Denied Access = "denied"
	// Unreachable means: the registry did not answer, or answered nonsense.
	Unreachable Access = "unreachable"
)

// denied are the words engines use for a refused access inside errors whose
// status is 500 (engines from 20.10 on answer so to a request without
// credentials).
var denied = regexp.MustCompile(`(?i)no basic auth credentials|unauthorized|authentication required|denied|insufficient_scope|incorrect username or password`)

// ClassifyRegistryError tells what an error of a registry request means.
func ClassifyRegistryError(err error) Access {
	switch {
	case err == nil:
		return Present
	case cerrdefs.IsUnauthorized(err), cerrdefs.IsPermissionDenied(err), denied.MatchString(err.Error()):
		return Denied
	case cerrdefs.IsNotFound(err), strings.Contains(err.Error(), "manifest unknown"):
		return Absent
	}
	return Unreachable
}

// RegistryClient is what is asked of the engine about registries.
type RegistryClient interface {
	DistributionInspect(ctx context.Context, image, encodedRegistryAuth string) (registry.DistributionInspect, error)
	RegistryLogin(ctx context.Context, auth registry.AuthConfig) (registry.AuthenticateOKBody, error)
}

// CheckPush asks the registry of ref, through the engine, whether it answers
// and takes the credentials, before anything is written. auth is empty where
// the user has none. The error says what to do next.
func CheckPush(ctx context.Context, api RegistryClient, ref, host string, auth registry.AuthConfig) error {
	if auth.Username == "" && auth.IdentityToken == "" && auth.RegistryToken == "" {
		encoded, err := registry.EncodeAuthConfig(auth)
		if err != nil {
			return fmt.Errorf("encode an empty login for %s: %w", host, err)
		}
		_, err = api.DistributionInspect(ctx, ref, encoded)
		return pushProblem(ctx, err, host, "you are not logged in")
	}
	if auth.RegistryToken != "" {
		// A bearer token made for this registry: there is nothing to log in with.
		return nil
	}
	_, err := api.RegistryLogin(ctx, auth)
	return pushProblem(ctx, err, host, "it does not take your credentials")
}

func pushProblem(ctx context.Context, err error, host, refusal string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch ClassifyRegistryError(err) {
	case Present, Absent:
		return nil
	case Denied:
		return fmt.Errorf("registry %s refuses access: %s: log in with `docker login %s`: %w", host, refusal, host, err)
	case Unreachable:
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("registry %s did not answer in time: %w", host, err)
	}
	return fmt.Errorf("registry %s cannot be reached from the engine: %w; commit without --push to keep the work now and push later", host, err)
}
