package kasmregistry

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

const dockerHub = "docker.io"

// image is what an entry launches: since schema 1.1 that depends on Kasm's
// version, and the image of the newest is taken.
func (e *entry) image() string {
	name := e.text("name")
	var newest []int
	var list []json.RawMessage
	e.get("compatibility", &list)
	for _, raw := range list {
		// Schema 1.0 has plain versions here, which say nothing of the image.
		var c struct{ Version, Image string }
		if json.Unmarshal(raw, &c) != nil || c.Image == "" {
			continue
		}
		if v := version(c.Version); newest == nil || slices.Compare(v, newest) > 0 {
			newest, name = v, c.Image
		}
	}
	name = strings.TrimSpace(name)
	if name == "" {
		e.fail("image", "missing: it is in neither name nor compatibility")
		return ""
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		e.fail("image", "%q is no image reference", name)
		return ""
	}
	host := e.host()
	first, _, _ := strings.Cut(name, "/")
	if host == "" || reference.Domain(named) != dockerHub || first == dockerHub || first == "index."+dockerHub {
		return name
	}
	if _, err := reference.ParseNormalizedNamed(host + "/" + name); err != nil {
		e.fail("docker_registry", "%q is no address of a registry", host)
		return ""
	}
	return host + "/" + name
}

// host is the registry that an entry's image is in, "" for Docker Hub. Kasm has an
// address such as https://index.docker.io/v1/ there.
func (e *entry) host() string {
	address := e.text("docker_registry")
	host := address
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil {
			e.fail("docker_registry", "%q is no address of a registry", address)
			return ""
		}
		host = u.Host + strings.TrimRight(u.Path, "/")
	}
	host = strings.TrimRight(host, "/")
	for _, api := range []string{"/v1", "/v2"} {
		host = strings.TrimSuffix(host, api)
	}
	switch host {
	case dockerHub, "index." + dockerHub, "registry-1." + dockerHub, "registry.hub.docker.com", "hub.docker.com":
		return ""
	}
	return host
}

// version makes numbers of "1.17.x", to be compared.
func version(s string) []int {
	parts := []int{}
	for p := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil {
			n = -1
			if strings.EqualFold(p, "x") {
				n = math.MaxInt
			}
		}
		parts = append(parts, n)
	}
	return parts
}
