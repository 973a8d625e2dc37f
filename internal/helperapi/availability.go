package helperapi

import (
	"time"

	"github.com/docker-kasm/docker-kasm/internal/availability"
)

// Availability tells whether a workspace's image can be launched.
type Availability struct {
	State  availability.State `json:"State"`
	Reason string             `json:"Reason,omitempty"`
	// Since is when the state began, as far as the helper saw it.
	Since time.Time `json:"Since,omitzero"`
	// ImageID, Created and Size (in bytes) describe the image on the engine.
	ImageID string    `json:"ImageID,omitempty"`
	Created time.Time `json:"Created,omitzero"`
	Size    int64     `json:"Size,omitempty"`
}

// Available is what goes over the wire for an entry of the watcher.
func Available(e availability.Entry) Availability {
	return Availability{State: e.State, Reason: e.Reason, Since: e.Since, ImageID: e.ImageID, Created: e.Created, Size: e.Size}
}

// Status is the availability as it is shown.
func (a Availability) Status() availability.Status {
	return availability.Status{State: a.State, Reason: a.Reason, ImageID: a.ImageID, Created: a.Created, Size: a.Size}
}
