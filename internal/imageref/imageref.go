// Package imageref reads, qualifies and makes up names of images.
//
// Names follow github.com/distribution/reference: what this package adds are
// messages that say how a name would be right, Kasm's way of naming a
// registry, and the names of snapshots.
package imageref

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

const (
	// hub is how references call Docker Hub.
	hub = "docker.io"
	// hubKey is how the docker config calls it (docker/docker, registry/config.go).
	hubKey = "https://index.docker.io/v1/"
)

var (
	imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)
	// hostOnly finds a first part that the library takes for a registry host
	// merely because it is not in lower case.
	hostOnly   = regexp.MustCompile(`^[^/.:]*[A-Z][^/.:]*/`)
	likeDigest = regexp.MustCompile(`@[A-Za-z0-9+._-]+:[0-9A-Fa-f]*$`)
)

// Parse reads an image name as users write it, such as "firefox",
// "kasmweb/firefox:1.17" or "ghcr.io/me/firefox@sha256:…", and gives its full
// form. No tag is added to a name without one. Errors quote the name and say
// what it would have to be; an image id is not a name.
func Parse(s string) (reference.Named, error) {
	switch {
	case strings.TrimSpace(s) == "":
		return nil, errors.New("the image name is empty; write a name such as myrepo/firefox:mine")
	case strings.Contains(s, "://"):
		// Not quoted: addresses may carry a password.
		return nil, errors.New("an image name does not begin with a scheme such as https://; write HOST/NAME:TAG")
	case imageID.MatchString(s):
		return nil, fmt.Errorf("%s is the id of an image and not a name; write a name such as myrepo/firefox:mine", s)
	}
	name, rest := splitName(s)
	if first := hostOnly.FindString(s); first != "" {
		return nil, fmt.Errorf("image name %s has upper-case letters; write %s", quote(s), quote(strings.ToLower(name)+rest))
	}
	ref, err := reference.ParseNormalizedNamed(s)
	if err == nil {
		return ref, nil
	}
	if lower := lowerPath(name); lower != name {
		if _, err := reference.ParseNormalizedNamed(lower + rest); err == nil {
			return nil, fmt.Errorf("image name %s has upper-case letters; write %s", quote(s), quote(lower+rest))
		}
	}
	if errors.Is(err, reference.ErrNameTooLong) {
		return nil, fmt.Errorf("image name %s is too long; the part before the tag has at most %d characters", quote(s), reference.RepositoryNameTotalLengthMax)
	}
	return nil, fmt.Errorf("image name %s is not valid; write [HOST[:PORT]/]NAME[:TAG] with lower-case letters, digits and single . _ - within NAME, and a TAG of at most 128 letters, digits, . _ and -", quote(s))
}

// ParseTagged reads an image name that is to be given to an image: as [Parse],
// but the tag "latest" is added to a name without a tag, and a name with a
// digest is refused, for a digest comes from an image's content.
func ParseTagged(s string) (reference.NamedTagged, error) {
	ref, err := Parse(s)
	if err != nil {
		return nil, err
	}
	if _, ok := ref.(reference.Digested); ok {
		name, _, _ := strings.Cut(s, "@")
		return nil, fmt.Errorf("image name %q has a digest where a tag is wanted; write %s, or that and a tag of your own", s, name)
	}
	tagged, ok := reference.TagNameOnly(ref).(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("image name %s cannot have a tag; write NAME:TAG", quote(s))
	}
	return tagged, nil
}

// Host returns the host of the registry a reference names, with its port if
// there is one: "docker.io", "ghcr.io", "localhost:5000".
func Host(ref reference.Named) string { return reference.Domain(ref) }

// AuthKey returns the key under which the docker config keeps the credentials
// for a registry host as [Host] gives it: the host itself, except that Docker
// Hub is "https://index.docker.io/v1/" (docker/docker, registry/config.go).
func AuthKey(host string) string {
	if host == hub || host == "index.docker.io" {
		return hubKey
	}
	return host
}

// Familiar returns a reference as users write it: without "docker.io/" and
// "docker.io/library/".
func Familiar(ref reference.Reference) string { return reference.FamiliarString(ref) }

// PushProblem says why nobody can push to a reference, with what to write
// instead; it is "" if there is no such reason. Docker Hub takes names of
// exactly two parts, and those under "library" are its own.
func PushProblem(ref reference.Named) string {
	if _, ok := ref.(reference.Digested); ok {
		return fmt.Sprintf("%s has a digest, and only a tag can be pushed to; write NAME:TAG", Familiar(ref))
	}
	if reference.Domain(ref) != hub {
		return ""
	}
	path := reference.Path(ref)
	last := lastPart(path)
	switch parts := strings.Count(path, "/") + 1; {
	case strings.HasPrefix(path, "library/") && parts == 2:
		return fmt.Sprintf("%s is a name of Docker Hub's official images, to which nobody can push; write YOUR-NAME/%s", Familiar(ref), last)
	case parts > 2:
		return fmt.Sprintf("%s has %d parts and Docker Hub takes two; write YOUR-NAME/%s", Familiar(ref), parts, last)
	}
	return ""
}

// splitName parts a reference before its tag or digest.
func splitName(s string) (name, rest string) {
	end := len(s)
	if at := strings.IndexByte(s, '@'); at >= 0 {
		end = at
	}
	if colon := strings.LastIndexByte(s[:end], ':'); colon > strings.LastIndexByte(s[:end], '/') {
		end = colon
	}
	return s[:end], s[end:]
}

// lowerPath puts all of a name but a registry host in lower case.
func lowerPath(name string) string {
	host, path, found := strings.Cut(name, "/")
	if found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host + "/" + strings.ToLower(path)
	}
	return strings.ToLower(name)
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// quote quotes a name for a message, without what might be a password: what
// stands before an @ that no digest follows.
func quote(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 && !likeDigest.MatchString(s) {
		s = "…" + s[at:]
	}
	return fmt.Sprintf("%q", s)
}
