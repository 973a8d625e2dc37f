package imageref

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/distribution/reference"
)

const (
	minuteStamp = "2006-01-02.15.04"
	secondStamp = "2006-01-02.15.04.05"

	// maxTag is the most characters a tag has (distribution/reference).
	maxTag = 128
	// nameless is the repository of a snapshot of an image without a name.
	nameless = "snapshot"
	// maxTries bounds the search for a free name within one second.
	maxTries = 1000
)

var (
	stamped = regexp.MustCompile(`(?:^|-)(\d{4}-\d\d-\d\d\.\d\d\.\d\d(?:(\.\d\d)(?:-(?:[2-9]|[1-9]\d+))?)?)$`)
	shortID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{12}$`)
)

// Generator makes up names for snapshots.
type Generator struct {
	// Prefix goes before the last part of the image's repository, in place
	// of what stands there: "myrepo", "ghcr.io/me". With "" the image's
	// repository is used.
	Prefix string
	// Now is the time for the tag, in the zone in which it is to be read.
	Now time.Time
	// Taken reports whether a name, as [Familiar] gives it, is in use. A nil
	// func means that none is.
	Taken func(ref string) (bool, error)
}

// Generate returns a name for a snapshot of a session that runs image. Its
// repository is that of the image, or "snapshot" if the image is given by its
// id. Its tag is the date and time to the minute, after the image's tag and a
// dash unless that is "latest"; a generated end of the image's tag is replaced.
// Seconds are added if the name is taken, then -2, -3 and so on. A long tag is
// cut so that the whole has at most 128 characters.
//
// It fails if image or Prefix are no valid names or if Taken fails.
func (g Generator) Generate(image string) (reference.NamedTagged, error) {
	repository, base, err := g.split(image)
	if err != nil {
		return nil, err
	}
	for try := range maxTries {
		stamp := g.Now.Format(minuteStamp)
		if try > 0 {
			stamp = g.Now.Format(secondStamp)
		}
		if try > 1 {
			stamp = fmt.Sprintf("%s-%d", stamp, try)
		}
		ref, err := reference.WithTag(repository, join(base, stamp))
		if err != nil {
			return nil, fmt.Errorf("making a snapshot's name from image %s: %w; give a name", quote(image), err)
		}
		if g.Taken == nil {
			return ref, nil
		}
		taken, err := g.Taken(Familiar(ref))
		if err != nil {
			return nil, fmt.Errorf("finding out whether %s is taken: %w", Familiar(ref), err)
		}
		if !taken {
			return ref, nil
		}
	}
	return nil, fmt.Errorf("making a snapshot's name from image %s: the %d names for this second are all taken; give a name", quote(image), maxTries)
}

// split gives the repository for a snapshot of image and the part of its tag
// that is kept.
func (g Generator) split(image string) (repository reference.Named, base string, err error) {
	name := nameless
	if image != "" && !strings.HasPrefix(image, "<none>") && !imageID.MatchString(image) && !shortID.MatchString(image) {
		ref, err := Parse(image)
		if err != nil {
			return nil, "", fmt.Errorf("making a snapshot's name: %w", err)
		}
		name = ref.Name()
		if tagged, ok := ref.(reference.Tagged); ok {
			base = keep(tagged.Tag())
		}
	}
	if g.Prefix != "" {
		prefix := strings.TrimSuffix(g.Prefix, "/")
		if _, rest := splitName(prefix + "/x"); rest != "" {
			return nil, "", fmt.Errorf("repository_prefix %s is not valid; write a name such as myrepo or ghcr.io/me", quote(g.Prefix))
		}
		name = prefix + "/" + lastPart(name)
	}
	repository, err = Parse(name)
	if err != nil {
		return nil, "", fmt.Errorf("making a snapshot's name with repository_prefix %s: %w", quote(g.Prefix), err)
	}
	return reference.TrimNamed(repository), base, nil
}

// keep returns what a snapshot's tag takes over from the tag of its image.
func keep(tag string) string {
	for {
		at := stampAt(tag)
		if at < 0 {
			break
		}
		tag = tag[:at]
	}
	if tag == "latest" {
		return ""
	}
	return tag
}

// join puts a stamp behind a base, cut to what fits. What a cut leaves could
// itself end like a generated tag, which would be lost the next time.
func join(base, stamp string) string {
	if room := maxTag - len("-") - len(stamp); len(base) > room {
		base = keep(base[:room])
	}
	if base == "" {
		return stamp
	}
	return base + "-" + stamp
}

// IsGenerated reports whether a tag is one that [Generator] made: it is, or
// ends in a dash and, a date and time in the generated form.
func IsGenerated(tag string) bool { return stampAt(tag) >= 0 }

// stampAt returns where the generated end of a tag begins, with the dash
// before it, or -1. Digits that are no date are not taken for one.
func stampAt(tag string) int {
	m := stamped.FindStringSubmatchIndex(tag)
	if m == nil {
		return -1
	}
	text, layout := tag[m[2]:m[3]], minuteStamp
	if m[4] >= 0 {
		text, layout = tag[m[2]:m[5]], secondStamp
	}
	if _, err := time.Parse(layout, text); err != nil {
		return -1
	}
	return m[0]
}

// WorkspaceName returns the name under which the workspace of a snapshot is
// registered: the last part of the repository, a dash and the tag, in lower
// case. It matches [a-z0-9][a-z0-9._-]* and has at most 128 characters; of a
// longer one the repository's part is cut first, to 32 characters.
func WorkspaceName(ref reference.NamedTagged) string {
	const most, least = 128, 32
	repository, tag := lastPart(reference.Path(ref)), strings.ToLower(ref.Tag())
	if over := len(repository) + 1 + len(tag) - most; over > 0 && len(repository) > least {
		repository = repository[:max(least, len(repository)-over)]
	}
	name := repository + "-" + tag
	return name[:min(len(name), most)]
}
