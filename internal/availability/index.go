package availability

import (
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// images are the engine's images by full reference and by id.
type images struct {
	byName map[string]image.Summary
	byID   map[string]image.Summary
	// compared holds REPOSITORY@ID of the images whose digest in the registry
	// of that repository is known.
	compared map[string]struct{}
}

func index(list []image.Summary) images { return indexWith(list, fullName) }

func indexWith(list []image.Summary, fullName func(string) (string, bool)) images {
	idx := images{
		byName:   make(map[string]image.Summary, 2*len(list)),
		byID:     make(map[string]image.Summary, len(list)),
		compared: make(map[string]struct{}, len(list)),
	}
	for _, img := range list {
		idx.byID[img.ID] = img
		digested := func(key string) {
			idx.byName[key] = img
			repository, _, _ := strings.Cut(key, "@")
			idx.compared[repository+"@"+img.ID] = struct{}{}
		}
		isDigest := false
		for _, name := range img.RepoDigests {
			if key, ok := fullName(name); ok {
				digested(key)
				isDigest = isDigest || strings.HasSuffix(key, "@"+img.ID)
			}
		}
		for _, name := range img.RepoTags {
			key, ok := fullName(name)
			if !ok {
				continue
			}
			idx.byName[key] = img
			if isDigest {
				// The containerd store's ids are digests, in every repository;
				// its RepoDigests names one of them only.
				digested(key[:strings.LastIndexByte(key, ':')] + "@" + img.ID)
			}
		}
	}
	return idx
}

func fullName(name string) (string, bool) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", false
	}
	return reference.TagNameOnly(ref).String(), true
}

// status decides what the engine's own images can decide.
func (idx images) status(ws *workspace.Workspace) (Status, bool) {
	key, _ := fullName(ws.Image)
	return idx.statusOf(ws, key)
}

// statusOf is status for callers that know the full name of the image, which is
// "" if it has none.
func (idx images) statusOf(ws *workspace.Workspace, key string) (Status, bool) {
	if ws.Type != workspace.TypeContainer {
		return Status{State: Available}, true
	}
	img, ok := idx.find(ws.Image, key)
	if ok && (ws.Snapshot == nil || ws.Snapshot.ImageID == "" || ws.Snapshot.ImageID == img.ID) {
		return Status{State: Available, ImageID: img.ID, Created: time.Unix(img.Created, 0), Size: img.Size}, true
	}
	reason := "not on this engine"
	if ok {
		reason = "the name belongs to another image on this engine"
	}
	if strings.HasPrefix(ws.Image, "sha256:") {
		return Status{State: Missing, Reason: reason}, true
	}
	return Status{State: Missing, Reason: reason}, false
}

func (idx images) find(name, key string) (image.Summary, bool) {
	if img, ok := idx.byID[name]; ok {
		return img, true
	}
	if key == "" {
		return image.Summary{}, false
	}
	img, ok := idx.byName[key]
	return img, ok
}

// has tells whether the image is what its repository's registry has under digest.
func (idx images) has(repository, id, digest string) bool {
	img, ok := idx.byName[repository+"@"+digest]
	return ok && img.ID == id
}

// comparable tells whether a digest of the registry says anything about the
// image: the classic store knows none for an image that was built here.
func (idx images) comparable(repository, id string) bool {
	_, ok := idx.compared[repository+"@"+id]
	return ok
}

// names remembers full names between lists: most of an engine's images stay, and
// parsing their names is most of the work of an index.
type names struct{ last, next map[string]string }

func (n *names) fullName(name string) (string, bool) {
	key, ok := n.last[name]
	if !ok {
		if key, ok = fullName(name); !ok {
			return "", false
		}
	}
	n.next[name] = key
	return key, true
}

// index is the function of the same name; only names of this list stay remembered.
func (n *names) index(list []image.Summary) images {
	n.next = make(map[string]string, 2*len(list))
	idx := indexWith(list, n.fullName)
	n.last, n.next = n.next, nil
	return idx
}
