package session

import "strings"

// Labels on the container of a managed session.
const (
	labelPrefix = "io.github.docker-kasm."
	// LabelSession holds the session's random id: 16 lower-case hex digits.
	LabelSession = labelPrefix + "session"
	// LabelName holds the name the container was created with. Labels are
	// inherited by images made with a plain `docker commit`, names are not, so
	// the two agree only where the session is genuine.
	LabelName = LabelSession + ".name"
	// LabelWorkspace holds the name of the workspace the session was run from.
	LabelWorkspace = LabelSession + ".workspace"
	// LabelScope holds ScopeEngine where that is in the engine's catalog.
	LabelScope = LabelSession + ".scope"
	// LabelUser holds the name of the user who ran it.
	LabelUser = LabelSession + ".user"
	// LabelExpires holds the time the session's limit ends, in RFC 3339.
	LabelExpires = LabelSession + ".expires"
	// LabelRemove is "true" on a session that the engine deletes once it stops.
	LabelRemove = LabelSession + ".rm"
	// LabelOpen holds the address template that opens the session's page, with
	// {PORT} for the published host port of a container port.
	LabelOpen = LabelSession + ".open"

	// kasmLabels begin the labels that Kasm's agents set.
	kasmLabels = "kasm."
	// labelAgent marks containers that a Kasm agent made.
	labelAgent = kasmLabels + "kasmid"
	// labelKasmImage marks images built from Kasm's core images, and so every
	// container of one.
	labelKasmImage = "com.kasmweb.image"
)

// ScopeEngine is Session.Scope of a session whose workspace is in the engine's
// catalog.
const ScopeEngine = "engine"

// IsOwnLabel tells whether a label's name means something to this program, or to Kasm:
// nobody else is to set it.
func IsOwnLabel(name string) bool {
	return strings.HasPrefix(name, labelPrefix) || strings.HasPrefix(name, kasmLabels)
}

// IsSessionLabel tells whether a label says something about one session, and
// so must never reach an image.
func IsSessionLabel(name string) bool {
	return name == LabelSession || strings.HasPrefix(name, LabelSession+".") || strings.HasPrefix(name, kasmLabels)
}
