package helperapi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Expiry is when the lifetime of a session ends.
type Expiry struct {
	// Session is the container's id.
	Session string `json:"Session"`
	// Expires is when it is acted on at the earliest, by the engine's clock; zero
	// while no end is in sight.
	Expires time.Time `json:"Expires,omitzero"`
	Reason  string    `json:"Reason,omitempty"`
}

// Extension puts the end of a session's lifetime off.
type Extension struct {
	// Seconds is by how much.
	Seconds int64 `json:"Seconds"`
}

// Expiry asks when the lifetime of a session ends.
func (c *Client) Expiry(ctx context.Context, session string) (Expiry, error) {
	return get[Expiry](ctx, c, "/"+Version+"/sessions/"+url.PathEscape(session)+"/expiry")
}

// Extend puts the end of a session's lifetime off.
func (c *Client) Extend(ctx context.Context, session string, by time.Duration) (Expiry, error) {
	return send[Expiry](ctx, c, http.MethodPost, "/"+Version+"/sessions/"+url.PathEscape(session)+"/extend", Extension{int64(by / time.Second)})
}
