// Package roster keeps records of the sessions that no label on an engine tells of:
// containers that were adopted, as labels cannot be added to them, and sessions of
// server workspaces, which are no containers. Each record is a TOML file.
package roster

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Kind says what a record is of.
type Kind string

// The kinds of records.
const (
	// Adopted is a container that was given a workspace after it was made.
	Adopted Kind = "adopted"
	// Server is a session of a server workspace.
	Server Kind = "server"
)

// ErrExists says that there is such a record already.
var ErrExists = errors.New("it is already there")

// Record is one session.
type Record struct {
	// ID is the session's: 16 lower-case hex digits. The file is named by it.
	ID   string `toml:"-" json:"ID"`
	Kind Kind   `toml:"kind" json:"Kind"`
	// Name of a server session; of an adopted one what the container was called
	// then, for people.
	Name string `toml:"name" json:"Name"`
	// Workspace is the name of the session's workspace, which is in the same
	// catalog as the record.
	Workspace string `toml:"workspace" json:"Workspace"`
	// Scope is "engine" for a record that a helper keeps, and "" for a user's.
	// Who reads the record sets it.
	Scope string `toml:"-" json:"-"`
	// User is who made the record, "" if unknown.
	User    string    `toml:"user,omitempty" json:"User,omitempty"`
	Created time.Time `toml:"created" json:"Created"`

	// Container is the full id of an adopted one, and Engine the id of the engine
	// it is on.
	Container string `toml:"container,omitempty" json:"Container,omitempty"`
	Engine    string `toml:"engine,omitempty" json:"Engine,omitempty"`
	// Host is where that engine was reached, such as unix:///run/docker.sock.
	Host string `toml:"host,omitempty" json:"Host,omitempty"`
	// Open is the address template of an adopted session's page, "" if it has none.
	Open string `toml:"open,omitempty" json:"Open,omitempty"`

	// Address is the url of a server session's machine.
	Address string `toml:"address,omitempty" json:"Address,omitempty"`
}

// NewID makes a random id of a session.
func NewID() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a session id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// AdoptedID is the id of an adopted session: that of one container on one engine is
// always the same, so that it can be adopted once only.
func AdoptedID(engine, container string) string {
	sum := sha256.Sum256([]byte(engine + "\x00" + container))
	return hex.EncodeToString(sum[:8])
}

var (
	validID   = regexp.MustCompile(`^[0-9a-f]{16}$`)
	container = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// What an engine takes as a container's name.
	name = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
)

// ValidID tells whether id can be a session's.
func ValidID(id string) error {
	if !validID.MatchString(id) {
		return fmt.Errorf("invalid session id %q: it is 16 lower-case hex digits", id)
	}
	return nil
}

// maxName bounds names, as an engine's own are by the length of host names.
const maxName = 255

// ValidName tells whether a session can be called that.
func ValidName(n string) error {
	if len(n) > maxName || !name.MatchString(n) {
		return fmt.Errorf("invalid session name %q: use letters, digits, '_', '.' and '-', beginning with a letter or digit, 2 to %d characters", n, maxName)
	}
	return nil
}

// Check tells what is wrong with a record.
func (r Record) Check() error {
	if err := ValidID(r.ID); err != nil {
		return err
	}
	if err := ValidName(r.Name); err != nil {
		return err
	}
	if err := workspace.ValidName(r.Workspace); err != nil {
		return err
	}
	if r.Created.IsZero() {
		return errors.New("created is missing")
	}
	for _, text := range []string{r.User, r.Engine, r.Host, r.Open} {
		if strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%q has control characters", text)
		}
	}
	switch r.Kind {
	case Adopted:
		return r.checkAdopted()
	case Server:
		return r.checkServer()
	}
	return fmt.Errorf("kind %q is not allowed: use %s or %s", r.Kind, Adopted, Server)
}

func (r Record) checkAdopted() error {
	switch {
	case !container.MatchString(r.Container):
		return fmt.Errorf("container %q is no full id: that is 64 lower-case hex digits", r.Container)
	case r.Engine == "":
		return errors.New("engine is missing")
	case r.ID != AdoptedID(r.Engine, r.Container):
		return errors.New("the record is of another container or engine than its name says")
	case r.Address != "":
		return errors.New("a container has no address of its own")
	}
	return nil
}

func (r Record) checkServer() error {
	if r.Container != "" || r.Engine != "" || r.Host != "" || r.Open != "" {
		return errors.New("a session of a server has no container")
	}
	u, err := url.Parse(r.Address)
	if err != nil || u.Hostname() == "" || u.User != nil || !slices.Contains(workspace.ServerSchemes(), u.Scheme) ||
		strings.ContainsFunc(r.Address, unicode.IsControl) {
		return fmt.Errorf("address %q is none of a server: it begins with %s://, without a password in it", r.Address, strings.Join(workspace.ServerSchemes(), ":// or "))
	}
	return nil
}
