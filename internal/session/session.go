// Package session lists, inspects, launches and moves sessions between states.
// The engine is the only truth about a session's state: what is recorded elsewhere
// of some is which workspace they are of.
package session

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/roster"
)

// Kind tells why a container counts as a session.
type Kind string

const (
	// Managed sessions were launched by `docker kasm run`.
	Managed Kind = "managed"
	// Agent sessions were made by a Kasm agent, whose server knows them too.
	Agent Kind = "agent"
	// Image sessions were started by hand from a Kasm image.
	Image Kind = "image"
	// Adopted sessions are containers that were given a workspace by a record.
	Adopted Kind = "adopted"
	// Server sessions are of server workspaces: a record, and no container.
	Server Kind = "server"
	// Plain is a container that is not a session.
	Plain Kind = "plain"
)

// Kinds lists the kinds that sessions have.
func Kinds() []Kind { return []Kind{Managed, Agent, Image, Adopted, Server} }

// Session is a container seen as an instance of a workspace, at one moment.
type Session struct {
	// ID is the container's full id, "" for a server session.
	ID string
	// Name is the container's name, without the leading slash, or the recorded one
	// of a server session.
	Name string
	// SessionID is the random id of a managed session, the Kasm id of an
	// agent's, the id of a record, and empty otherwise.
	SessionID string
	Kind      Kind
	// Workspace is the name of the workspace it was run from, "" if unknown.
	Workspace string
	// ByImage is the friendly name of that workspace where only the image it shares
	// with the session tells that they belong together, and else "".
	ByImage string `json:",omitempty"`
	// Scope is ScopeEngine if that is in the engine's catalog, "" if it is in a
	// user's.
	Scope string
	// User is who ran it, "" if unknown.
	User string
	// Image is the reference it was created from, ImageID what that was then.
	Image, ImageID string
	State          State
	// Status is the engine's own wording, such as "Up 3 minutes".
	Status string
	// ExitCode is set for stopped and failed sessions.
	ExitCode int
	Created  time.Time
	// Expires is when the session's limit ends; zero without a limit.
	Expires time.Time
	// Remove tells that the engine deletes the session once it stops.
	Remove bool
	// Open is the address template of its page, "" if it has none.
	Open string
	// Ports are sorted by the session's own port.
	Ports []container.Port
	// SizeRw and SizeRootFs are bytes, -1 when sizes were not asked for.
	SizeRw, SizeRootFs int64
	// Labels of the container. Those that Kasm's agents may set are here without
	// what may be a secret.
	Labels map[string]string
	// URL is the address of a server session's machine, "" for a container.
	URL string `json:",omitempty"`
	// Record is what makes an adopted or server session one, nil for all others.
	Record *roster.Record `json:"-"`
}

// Target is what commands about one session name it by: the container's id, or
// that of a session without one.
func (s Session) Target() string {
	if s.ID == "" {
		return s.SessionID
	}
	return s.ID
}

// Summary reads a session from one entry of the engine's container list.
// A damaged label leaves its field empty and hides nothing.
func Summary(c container.Summary) Session {
	s := Session{
		ID: c.ID, Image: c.Image, ImageID: c.ImageID, Status: c.Status,
		Created: time.Unix(c.Created, 0), Labels: withoutSecrets(c.Labels),
		SizeRw: c.SizeRw, SizeRootFs: c.SizeRootFs,
	}
	for _, name := range c.Names {
		// Links add names with a second slash; the container's own has one.
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			s.Name = name
			break
		}
	}
	// Engines list them in any order; the first one is the session's address.
	s.Ports = slices.SortedFunc(slices.Values(c.Ports), func(a, b container.Port) int {
		return cmp.Or(cmp.Compare(a.PrivatePort, b.PrivatePort), strings.Compare(a.Type, b.Type), strings.Compare(a.IP, b.IP))
	})
	s.ExitCode = exitCode(c.Status)
	s.State = stateOf(c.State, s.ExitCode)
	s.readLabels()
	return s
}

var (
	exited    = regexp.MustCompile(`^Exited \((\d+)\)`)
	sessionID = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

func exitCode(status string) int {
	m := exited.FindStringSubmatch(status)
	if m == nil {
		return 0
	}
	code, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return code
}

// withoutSecrets hides the values of labels of Kasm's that are not known to be
// harmless.
func withoutSecrets(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for k, v := range labels {
		if strings.HasPrefix(k, kasmLabels) && k != labelAgent {
			v = Hidden
		}
		out[k] = v
	}
	return out
}

func (s *Session) readLabels() {
	s.Kind = Plain
	switch {
	case sessionID.MatchString(s.Labels[LabelSession]):
		s.Kind = Managed
		s.SessionID = s.Labels[LabelSession]
		s.Workspace = s.Labels[LabelWorkspace]
		s.User = s.Labels[LabelUser]
		if s.Labels[LabelScope] == ScopeEngine {
			s.Scope = ScopeEngine
		}
		s.Open = s.Labels[LabelOpen]
		s.Remove = s.Labels[LabelRemove] == "true"
		if t, err := time.Parse(time.RFC3339, s.Labels[LabelExpires]); err == nil {
			s.Expires = t
		}
	case s.Labels[labelAgent] != "":
		s.Kind = Agent
		s.SessionID = s.Labels[labelAgent]
	case s.Labels[labelKasmImage] == "true":
		s.Kind = Image
	}
}

// disown takes the session labels of an image off a container that merely
// inherited them, and looks again what it is without them.
func (s *Session) disown(label string) {
	rest := make(map[string]string, len(s.Labels))
	for k, v := range s.Labels {
		if k != label && !strings.HasPrefix(k, label+".") {
			rest[k] = v
		}
	}
	s.Labels = rest
	s.SessionID, s.Workspace, s.Scope, s.User, s.Open, s.Expires, s.Remove = "", "", "", "", "", time.Time{}, false
	s.readLabels()
}
