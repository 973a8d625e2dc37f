package deploy

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/docker-kasm/docker-kasm/internal/lock"
)

// lockKey is the key of the lock under which the helper is set up or removed.
const lockKey = ".helper"

// takeTurn lets one command at a time set the engine's helper up or remove it,
// from whatever machine: two that each replace the other's container would leave
// none. It waits for whoever is at it, and tells report so. done ends the turn.
func takeTurn(ctx context.Context, api API, user string, report func(string)) (turn context.Context, done func() error, err error) {
	held, turn, err := lock.Take(ctx, api, lock.Holder{Key: lockKey, Run: rand.Text(), Owner: user}, lock.Options{
		Waiting: func(h lock.Holder) {
			report(fmt.Sprintf("the helper is being set up or removed by %s: waiting for that", h.Owner))
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("nothing was changed: %w", err)
	}
	return turn, func() error { return held.Release(ctx) }, nil
}
