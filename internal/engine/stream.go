package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/docker/docker/pkg/jsonmessage"
)

// StreamError is an error that an engine reported inside a stream whose HTTP
// status was 200: pushes, pulls and loads fail this way.
type StreamError struct{ Message string }

func (e *StreamError) Error() string { return e.Message }

// ReadStream reads a stream of JSON messages to its end and hands each to each.
// An error message in the stream becomes a *StreamError; what follows it is
// still read, so that the connection can be used again.
func ReadStream(r io.Reader, each func(jsonmessage.JSONMessage)) error {
	var failed error
	dec := json.NewDecoder(r)
	for {
		var msg jsonmessage.JSONMessage
		err := dec.Decode(&msg)
		if errors.Is(err, io.EOF) {
			return failed
		}
		if err != nil {
			if failed != nil {
				return failed
			}
			return fmt.Errorf("read the engine's progress messages: %w", err)
		}
		switch {
		case msg.Error != nil:
			failed = errors.Join(failed, &StreamError{Message: msg.Error.Message})
		case each != nil:
			each(msg)
		}
	}
}

// digestLine is the last status line of a push: engines with the containerd
// store send it alone, those with a graphdriver send an aux message as well.
var digestLine = regexp.MustCompile(`(?:^|: )digest: (sha256:[0-9a-f]{64}) size: \d+$`)

// PushedDigest returns the digest that a message of a push stream reports for
// the pushed tag, or "" when the message reports none.
func PushedDigest(msg jsonmessage.JSONMessage) string {
	if msg.Aux != nil {
		var aux struct{ Tag, Digest string }
		if json.Unmarshal(*msg.Aux, &aux) == nil && aux.Tag != "" {
			return aux.Digest
		}
	}
	if m := digestLine.FindStringSubmatch(msg.Status); m != nil {
		return m[1]
	}
	return ""
}

// LoadedImage returns the image id that a message of a load stream reports, or
// "" when it reports none. The line is the same on every engine since 1.10.
func LoadedImage(msg jsonmessage.JSONMessage) string {
	if m := loadedLine.FindStringSubmatch(msg.Stream); m != nil {
		return m[1]
	}
	return ""
}

// ImportedImage returns the image id that a message of an import stream
// reports, or "" when it reports none.
func ImportedImage(msg jsonmessage.JSONMessage) string {
	if importedLine.MatchString(msg.Status) {
		return msg.Status
	}
	return ""
}

var importedLine = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

var loadedLine = regexp.MustCompile(`^Loaded image ID: (sha256:[0-9a-f]{64})\s*$`)
