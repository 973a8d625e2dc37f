package push

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

const (
	// firstWait is doubled for every try that follows, up to longestWait.
	firstWait   = time.Second
	longestWait = 30 * time.Second
	// patience is the longest wait that a registry can ask for: beyond it the
	// user decides when to try again.
	patience = 2 * time.Minute
)

// retry runs do until it succeeds, fails for good, or the tries are used up.
func (p *Pusher) retry(ctx context.Context, do func() error) error {
	exponential := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstWait),
		backoff.WithMultiplier(2), backoff.WithMaxInterval(longestWait), backoff.WithMaxElapsedTime(0))
	waits := &asked{BackOff: exponential}
	attempt := 0
	try := func() error {
		attempt++
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		after, again := temporary(err)
		if !again {
			return backoff.Permanent(err)
		}
		if after > patience {
			return backoff.Permanent(fmt.Errorf("the registry asks to wait for %s: %w", after, err))
		}
		waits.after = after
		return err
	}
	notify := func(err error, wait time.Duration) {
		p.info("attempt %d of %d failed: %s; trying again in %s", attempt, p.Retries+1, Reason(err), wait.Round(100*time.Millisecond))
	}
	policy := backoff.WithContext(backoff.WithMaxRetries(waits, uint64(p.Retries)), ctx)
	return backoff.RetryNotifyWithTimer(try, policy, notify, p.Timer)
}

// asked is a back-off that waits as long as the registry asked for, on top of
// its own time, which is jittered: clients that were told the same do not all
// come back at once.
type asked struct {
	backoff.BackOff
	after time.Duration
}

func (a *asked) NextBackOff() time.Duration {
	next := a.BackOff.NextBackOff()
	if next == backoff.Stop {
		return next
	}
	return next + a.after
}

// Engines pass on in words what registries and networks have to say.
var (
	// refusal is what no second try changes.
	refusal = regexp.MustCompile(`(?i)no basic auth credentials|unauthorized|authorization failed|authentication required|denied|forbidden|insufficient_scope|incorrect username or password|unsupported|name unknown|name not known|name invalid|invalid repository name|manifest (?:blob )?(?:unknown|invalid)|does not exist|no such host|x509|certificate|quota|no space left|blob size`)
	// passing is what a network or a registry that restarts has to say.
	passing = regexp.MustCompile(`(?i)connection reset|broken pipe|connection refused|\bEOF\b|time-?out|timed out|deadline exceeded|temporary failure|server misbehaving|network is unreachable|no route to host|connection closed|server closed|use of closed network connection|GOAWAY|service unavailable|bad gateway|internal (?:server )?error|error from registry: unknown(?: error)?$|blob upload unknown|unexpected commit digest`)
)

// temporary tells whether an error of a push may be gone with the next try,
// and how long the registry asks to wait before it, 0 if it does not say.
func temporary(err error) (after time.Duration, again bool) {
	if after, busy := engine.TooManyRequests(err); busy {
		return after, true
	}
	text, status := engine.WithoutAddresses(err), engine.RegistryStatus(err)
	switch {
	case status == http.StatusNotImplemented, status == http.StatusInsufficientStorage:
		return 0, false
	case status == http.StatusRequestTimeout, status >= http.StatusInternalServerError:
		return 0, true
	case status >= http.StatusBadRequest, refusal.MatchString(text):
		return 0, false
	}
	return 0, passing.MatchString(text)
}

// secrets are the parts of an address that may hold some: a user with a
// password, and the query, where storage behind registries has its signatures.
var secrets = regexp.MustCompile(`(https?://)(?:[^\s"/@]*@)?([^\s"?]*)(?:\?[^\s"]*[^\s":])?`)

// maxReason is how many characters of an error are kept.
const maxReason = 400

// Reason is an error in one line, without what may be secret in it: for
// records and messages.
func Reason(err error) string {
	text := secrets.ReplaceAllString(err.Error(), "$1$2")
	text = strings.Join(strings.Fields(text), " ")
	if short := []rune(text); len(short) > maxReason {
		text = string(short[:maxReason-1]) + "…"
	}
	return text
}

// Redacted is an error that says what Reason makes of err, and wraps it: for what
// others print, or keep.
func Redacted(err error) error { return &redactedError{err} }

type redactedError struct{ err error }

func (e *redactedError) Error() string { return Reason(e.err) }
func (e *redactedError) Unwrap() error { return e.err }
