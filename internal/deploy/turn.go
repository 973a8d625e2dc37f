package deploy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/docker-kasm/docker-kasm/internal/lock"
)

// lockKey is the key of the lock under which the helper is set up or removed.
const lockKey = ".helper"

// inTurn lets one command at a time set the engine's helper up or remove it, from
// whatever machine: two that each replace the other's container would leave none.
// It waits for whoever is at it, and tells report so.
func inTurn(ctx context.Context, api API, user string, report func(string), do func(context.Context) (bool, error)) (changed bool, err error) {
	held, turn, err := lock.Take(ctx, api, lock.Holder{Key: lockKey, Run: rand.Text(), Owner: user}, lock.Options{
		Waiting: func(h lock.Holder) {
			report(fmt.Sprintf("the helper is being set up or removed by %s: waiting for that", h.Owner))
		},
	})
	if err != nil {
		return false, fmt.Errorf("nothing was changed: %w", err)
	}
	defer func() { err = errors.Join(err, held.Release(ctx)) }()
	return do(turn)
}
