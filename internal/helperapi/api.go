// Package helperapi is what kasm-helper and its clients say to each other: JSON
// over HTTP/2, described by openapi.yaml.
package helperapi

import (
	_ "embed"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/availability"
	"github.com/docker-kasm/docker-kasm/internal/task"
)

// Version is the API's version, the first part of every path but the probes'.
const Version = "v1"

// OpenAPI describes the API.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Headers of requests.
const (
	// HeaderUser tells who asks, for people: a user and a machine. It grants
	// nothing: who reaches the helper may do all that it can.
	HeaderUser = "Kasm-User"
	// HeaderVersion is the client's version, and the helper's in answers.
	HeaderVersion = "Kasm-Version"
)

// TypeTOML is the media type of workspace files.
const TypeTOML = "application/toml"

// VersionInfo tells which helper answers.
type VersionInfo struct {
	Version string `json:"Version"`
	Commit  string `json:"Commit,omitempty"`
	// API are the versions of the API that it speaks.
	API []string `json:"API"`
}

// Status is what `helper status` shows.
type Status struct {
	VersionInfo
	Started time.Time `json:"Started"`
	// Engine is the engine that the helper stands beside.
	Engine EngineStatus `json:"Engine"`
	// Workspaces counts them by availability.
	Workspaces map[availability.State]int `json:"Workspaces"`
	// Tasks counts them by state.
	Tasks map[task.State]int `json:"Tasks"`
	// Registries are those that were asked about images.
	Registries []RegistryStatus `json:"Registries,omitempty"`
	// BadFiles is how many workspace files cannot be read.
	BadFiles int `json:"BadFiles"`
	// Disk is the room where the engine keeps its data, nil if it cannot be told.
	Disk *Disk `json:"Disk,omitempty"`
}

// Disk is the room on a disk, in bytes.
type Disk struct {
	// Free is what anybody may still write, Total all there is.
	Free  uint64 `json:"Free"`
	Total uint64 `json:"Total"`
}

// RegistryStatus tells how a registry was asked about images.
type RegistryStatus struct {
	Host string `json:"Host"`
	// Asked is when it was last asked, and Next when it may be asked again.
	Asked time.Time `json:"Asked,omitzero"`
	Next  time.Time `json:"Next,omitzero"`
	// Error says why the last question got no answer.
	Error    string `json:"Error,omitempty"`
	Requests int64  `json:"Requests"`
}

// EngineStatus tells of the helper's connection to its engine.
type EngineStatus struct {
	Connected bool   `json:"Connected"`
	Version   string `json:"Version,omitempty"`
}

// Workspace is a workspace file in the engine's catalog.
type Workspace struct {
	Name string `json:"Name"`
	// Revision is the SHA-256 of Text, in hex; it is the file's ETag.
	Revision string `json:"Revision"`
	// Text is the file. It is sent as it is, so that comments reach an editor,
	// and checked by whoever reads it.
	Text string `json:"Text"`
	// Changed tells who changed it last, and when.
	Changed *Change `json:"Changed,omitempty"`
	// Availability of its image, as it was when this was asked for.
	Availability *Availability `json:"Availability,omitempty"`
}

// Change tells of a change to a workspace file.
type Change struct {
	// By is a user and a machine, "" for a change that was made to the file
	// itself on the engine's host.
	By   string    `json:"By,omitempty"`
	Time time.Time `json:"Time"`
}

// BadFile is a workspace file that cannot be read.
type BadFile struct {
	Name string `json:"Name"`
	// Error has a line for each problem, with the position in the file.
	Error string `json:"Error"`
}

// WorkspaceList is the engine's catalog.
type WorkspaceList struct {
	Workspaces []Workspace `json:"Workspaces"`
	BadFiles   []BadFile   `json:"BadFiles,omitempty"`
}
