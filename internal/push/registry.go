package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
)

// maxBlob bounds what is read of a manifest or a configuration; engines take
// 4 MiB (moby distribution/pull_v2.go, containerd remotes/docker).
const maxBlob = 8 << 20

// openRepository returns the repository of ref as this process reaches it. A
// registry that the engine calls insecure is asked as the engine does it: by
// TLS with any certificate, and without TLS where it knows none.
func openRepository(ctx context.Context, ref reference.Named, login registry.AuthConfig, insecure bool) (*remote.Repository, error) {
	repo, err := remote.NewRepository(ref.Name())
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if insecure {
		// #nosec G402 -- the user has told the engine so
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	}
	credential := auth.Credential{
		Username: login.Username, Password: login.Password,
		RefreshToken: login.IdentityToken, AccessToken: login.RegistryToken,
	}
	if credential.RefreshToken != "" {
		credential.Username, credential.Password = "", ""
	}
	httpClient := &http.Client{Transport: retry.NewTransport(transport)}
	if insecure {
		repo.PlainHTTP = !speaksTLS(ctx, transport, repo.Reference.Host())
	}
	repo.Client = &auth.Client{
		Client: httpClient, Cache: auth.NewCache(), ClientID: "docker-kasm",
		Credential: auth.StaticCredential(imageref.Host(ref), credential),
	}
	return repo, nil
}

// speaksTLS tells whether a host answers to TLS at all. Nothing secret is sent.
func speaksTLS(ctx context.Context, transport *http.Transport, host string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

// insecure tells whether an engine's settings let a registry do without proven
// TLS: it is named there, or its address is (moby daemon/pkg/registry,
// isSecureIndex).
func insecure(ctx context.Context, config *registry.ServiceConfig, host string) bool {
	if config == nil {
		return false
	}
	if index, ok := config.IndexConfigs[host]; ok && index != nil {
		return !index.Secure
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, strings.Trim(name, "[]"))
	if err != nil {
		return false
	}
	for _, cidr := range config.InsecureRegistryCIDRs {
		for _, address := range addresses {
			if cidr != nil && (*net.IPNet)(cidr).Contains(address.IP) {
				return true
			}
		}
	}
	return false
}

// fetch reads a manifest or a blob of a repository whole.
func fetch(ctx context.Context, from orasregistry.ReferenceFetcher, name string) (ocispec.Descriptor, []byte, error) {
	desc, body, err := from.FetchReference(ctx, name)
	if err != nil {
		return desc, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBlob+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return desc, nil, err
	}
	if len(data) > maxBlob {
		return desc, nil, fmt.Errorf("it is larger than %d bytes", maxBlob)
	}
	return desc, data, nil
}
