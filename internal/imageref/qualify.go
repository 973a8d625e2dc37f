package imageref

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/distribution/reference"
)

// Qualify gives an image name the registry it is to be pushed to. Registry is
// what Kasm's form takes: a host with or without a port ("docker.io",
// "localhost:5000"), its address ("https://index.docker.io/v1/"), either with
// a path that goes before the name ("ghcr.io/me", "https://host/team/").
//
//   - With registry "" the name is only parsed.
//   - A name that names no registry gets the registry, and the path unless it
//     begins with it already.
//   - A name that names this registry is kept as it is.
//   - A name that names another one is refused.
//
// A tag is kept and none is added; a digest is refused. An address with a user
// name or a password is refused and not quoted.
func Qualify(name, registry string) (reference.Named, error) {
	ref, err := Parse(name)
	if err != nil {
		return nil, err
	}
	if _, ok := ref.(reference.Digested); ok {
		return nil, fmt.Errorf("image name %s has a digest where a tag is wanted; write NAME:TAG", quote(name))
	}
	if registry == "" {
		return ref, nil
	}
	host, prefix, err := parseRegistry(registry)
	if err != nil {
		return nil, err
	}
	if namesHost(name) {
		if own := reference.Domain(ref); !strings.EqualFold(own, host) && (host != hub || !isHub(own)) {
			return nil, fmt.Errorf("image name %q names the registry %s, but the registry asked for is %s; leave one of them out", name, own, host)
		}
		return ref, nil
	}
	path, _ := splitName(name)
	full := name
	if prefix != "" && !strings.HasPrefix(path, prefix+"/") {
		full = prefix + "/" + name
	}
	qualified, err := Parse(host + "/" + full)
	if err != nil {
		return nil, fmt.Errorf("putting image name %s under registry %s: %w", quote(name), host, err)
	}
	return qualified, nil
}

// namesHost reports whether a valid name begins with a registry host, by the
// rule of the reference package.
func namesHost(name string) bool {
	first, _, found := strings.Cut(name, "/")
	return found && isHost(first)
}

func isHost(s string) bool {
	return s == "localhost" || strings.ContainsAny(s, ".:")
}

func isHub(host string) bool {
	switch host {
	case hub, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com":
		return true
	}
	return false
}

// parseRegistry parts a registry's address into the host, in the form that
// references use, and the path that goes before names.
func parseRegistry(registry string) (host, prefix string, err error) {
	// Neither is quoted: both may carry a secret.
	if strings.Contains(registry, "@") {
		return "", "", errors.New("the registry address has a user name or password in it; leave it out and run docker login")
	}
	if strings.ContainsAny(registry, "?#") {
		return "", "", errors.New("the registry address has a query in it; write HOST[:PORT][/PATH]")
	}
	address, scheme := registry, ""
	if before, after, found := strings.Cut(registry, "://"); found {
		scheme, address = strings.ToLower(before), after
		if scheme != "https" && scheme != "http" {
			return "", "", fmt.Errorf("registry %q: a registry is reached by https or http; write HOST[:PORT][/PATH]", registry)
		}
	}
	u, err := url.Parse("https://" + address)
	if err != nil || u.Host == "" {
		return "", "", fmt.Errorf("registry %q is not an address; write HOST[:PORT][/PATH]", registry)
	}
	host, prefix = strings.ToLower(u.Host), strings.Trim(u.Path, "/")
	if isHub(host) {
		host = hub
	}
	if !isHost(host) {
		if scheme != "" {
			port := map[string]string{"https": "443", "http": "80"}[scheme]
			return "", "", fmt.Errorf("registry %q: image names cannot tell the host %s from a user name; write %s:%s", registry, host, host, port)
		}
		return "", "", fmt.Errorf("registry %q is not a host; for a name on Docker Hub write docker.io/%s, for a host in your network %s:PORT", registry, registry, host)
	}
	// An address that ends in the version of the registry's interface means
	// the registry itself; without a scheme it may be somebody's name.
	if (scheme != "" || host == hub) && (prefix == "v1" || prefix == "v2") {
		prefix = ""
	}
	try := host + "/" + strings.TrimPrefix(prefix+"/x", "/")
	if ref, err := Parse(try); err != nil || reference.Domain(ref) != host {
		return "", "", fmt.Errorf("registry %q is not valid; write HOST[:PORT][/PATH] with a path in lower case", registry)
	}
	return host, prefix, nil
}
