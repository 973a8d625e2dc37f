package availability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
	cerrdefs "github.com/containerd/errdefs"
	"golang.org/x/time/rate"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

const (
	// A registry that does not answer is asked again after firstWait, doubled
	// each time up to longestWait; one that wants fewer requests after
	// firstBusy up to longestBusy: Docker Hub counts over six hours. Half of
	// each is left to chance.
	firstWait, longestWait = 30 * time.Second, 15 * time.Minute
	firstBusy, longestBusy = 15 * time.Minute, 6 * time.Hour
	// engineWait is waited where it was the engine that did not answer.
	engineWait = 5 * time.Second
	// Ages at which what a registry said of an image that is not on the engine
	// is asked for again.
	pullableAge, missingAge = 6 * time.Hour, 15 * time.Minute
)

// host is a registry: at most one request to it is under way.
type host struct {
	name       string
	limit      *rate.Limiter
	down, busy *backoff.ExponentialBackOff
	asking     bool
	// until is when it may be asked after it did not answer.
	until    time.Time
	asked    time.Time
	requests int64
	// err says in a few words why the last request got no answer, "" if it got one.
	err string
}

func newHost(name string, perMinute int) *host {
	// Half of the requests may come at once, and the others as time goes on: so
	// no minute sees more than all.
	burst := max(1, perMinute/2)
	rest := max(1, perMinute-burst)
	return &host{
		name:  name,
		limit: rate.NewLimiter(rate.Limit(float64(rest)/time.Minute.Seconds()), burst),
		down:  exponential(firstWait, longestWait),
		busy:  exponential(firstBusy, longestBusy),
	}
}

func exponential(first, longest time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithMaxInterval(longest),
		backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
}

// next is when the registry may be asked.
func (h *host) next(now time.Time) time.Time {
	next := now
	if lack := 1 - h.limit.TokensAt(now); lack > 0 {
		// Rounded up: a timer must not fire before the token is there.
		next = now.Add(time.Duration(lack/float64(h.limit.Limit())*float64(time.Second)) + time.Millisecond)
	}
	if h.until.After(next) {
		return h.until
	}
	return next
}

func (h *host) begin(now time.Time) {
	h.limit.AllowN(now, 1)
	h.asking, h.asked = true, now
	h.requests++
}

// target is an image name that registries are asked for.
type target struct {
	// ref is the full name, name what a workspace has for it.
	ref, name  string
	repository string
	host       *host
	added      time.Time
	asking     bool
	answer     answer
	// missed says why the last request got no answer, "" if it got one.
	missed string
	// notBefore holds back a name that alone gets no answers.
	notBefore time.Time
	wait      *backoff.ExponentialBackOff
	// spread makes the age at which each name is asked for again a little different.
	spread float64

	// image is the id that the name has on the engine, "" for none.
	image string
	need  need
	// changed is set when image has become another since the registry was asked,
	// and maybe the former again, as the registry may be asked much later; and
	// when the engine has sent or fetched the name meanwhile.
	changed bool
	// compared is set if a workspace wants to know whether image is outdated; one
	// of the same name may want another image, which is not there.
	compared bool
}

// need is what a registry is asked for a name; what is wanted most comes last.
type need int

const (
	nothing need = iota
	// update: the engine has the image; does the registry have another?
	update
	// presence: the engine does not have the image.
	presence
)

func newTarget(ref, name, repository string, h *host, now time.Time) *target {
	return &target{ref: ref, name: name, repository: repository, host: h, added: now, wait: exponential(firstWait, longestWait),
		spread: rand.Float64()} //nolint:gosec // chance that spreads requests is no secret
}

// due is when the registry is to be asked.
func (t *target) due(recheck time.Duration) time.Time {
	answered := t.answer.access != ""
	due := t.answer.at
	switch {
	case !answered && t.need == update:
		// Not all at once after a start, which may be one of many.
		due = t.added.Add(time.Duration(t.spread * float64(recheck) / 10))
	case !answered:
	case t.compared && t.stale():
	case t.need == update:
		due = due.Add(t.spreadOut(recheck))
	case t.answer.access == engine.Present:
		due = due.Add(t.spreadOut(pullableAge))
	default:
		due = due.Add(t.spreadOut(missingAge))
	}
	if t.notBefore.After(due) {
		return t.notBefore
	}
	return due
}

func (t *target) spreadOut(age time.Duration) time.Duration {
	return time.Duration((0.9 + 0.2*t.spread) * float64(age))
}

// outdated tells whether the registry has another image than the engine. What it
// said before the engine got its image does not tell: the tag may have moved
// between.
func (t *target) outdated(local images) bool {
	return t.answer.digest != "" && t.answer.image == t.image && local.comparable(t.repository, t.image) && !local.has(t.repository, t.image, t.answer.digest)
}

// stale tells whether the registry has to say it anew, of another image: what has
// given that its name here may have changed the registry too.
func (t *target) stale() bool {
	return t.answer.digest != "" && (t.changed || t.answer.image != t.image)
}

// renew has the registry asked anew.
func (t *target) renew() {
	t.changed = true
	if t.answer.access != engine.Present {
		t.answer = answer{}
	}
}

// settle takes what a request came to.
func (t *target) settle(got answer, err error, now time.Time) {
	h := t.host
	t.asking, h.asking = false, false
	after, busy := engine.TooManyRequests(err)
	switch {
	case err == nil:
		got.at = now
		t.answer, t.missed = got, ""
		t.notBefore = time.Time{}
		t.wait.Reset()
		if got.reason == "" {
			h.answered()
		}
	case engine.ConnectionLost(err):
		t.notBefore = now.Add(engineWait)
	case busy:
		h.err = fmt.Sprintf("registry %s takes no more requests for now", h.name)
		t.missed = h.err
		h.until = now.Add(h.busy.NextBackOff() + after)
	case cerrdefs.IsInvalidArgument(err):
		// It is this name, and not the registry.
		t.missed = fmt.Sprintf("registry %s does not say", h.name)
		t.notBefore = now.Add(t.wait.NextBackOff())
		h.answered()
	default:
		h.err = unreachable(h.name)
		if errors.Is(err, context.DeadlineExceeded) {
			h.err += " in time"
		}
		t.missed = h.err
		t.notBefore = now.Add(t.wait.NextBackOff())
		h.until = now.Add(h.down.NextBackOff())
	}
}

func (h *host) answered() {
	h.err, h.until = "", time.Time{}
	h.down.Reset()
	h.busy.Reset()
}
