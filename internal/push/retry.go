package push

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
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

// Engines pass on what registries answer in words, each in their own: 20.10
// and the graphdrivers of 29 in those of docker/distribution
// (registry/client/errors.go), the containerd store in those of containerd
// (core/remotes/errors). The tests hold the texts.
var (
	// httpStatus finds the status where a text has it, after addresses have
	// been taken out of it.
	httpStatus = regexp.MustCompile(`(?:unexpected HTTP status: |error parsing HTTP |unexpected status from \S+ request to …: |response status code |unexpected status code …?:? ?)(\d{3})\b`)
	tooMany    = regexp.MustCompile(`(?i)toomanyrequests|too many requests|retry-after|rate ?limit|rate exceeded`)
	// refusal is what no second try changes.
	refusal = regexp.MustCompile(`(?i)no basic auth credentials|unauthorized|authorization failed|authentication required|denied|forbidden|insufficient_scope|incorrect username or password|unsupported|name unknown|name not known|name invalid|invalid repository name|manifest (?:blob )?(?:unknown|invalid)|does not exist|no such host|x509|certificate|quota|no space left|blob size`)
	// passing is what a network or a registry that restarts has to say.
	passing = regexp.MustCompile(`(?i)connection reset|broken pipe|connection refused|\bEOF\b|time-?out|timed out|deadline exceeded|temporary failure|server misbehaving|network is unreachable|no route to host|connection closed|server closed|use of closed network connection|GOAWAY|service unavailable|bad gateway|internal (?:server )?error|error from registry: unknown(?: error)?$|blob upload unknown|unexpected commit digest`)
	// waitFor is how registries say how long to wait, with a unit or in seconds.
	waitFor = regexp.MustCompile(`(?i)retry[- ]after:?\s*((?:\d+(?:\.\d+)?(?:h|ms|m|s|µs|us|ns))+|\d+(?:\.\d+)?)`)
)

// temporary tells whether an error of a push may be gone with the next try,
// and how long the registry asks to wait before it, 0 if it does not say.
func temporary(err error) (after time.Duration, again bool) {
	text := addresses.ReplaceAllString(err.Error(), "…")
	status := 0
	if m := httpStatus.FindStringSubmatch(text); m != nil {
		status, _ = strconv.Atoi(m[1])
	}
	switch {
	case status == http.StatusTooManyRequests, status == 0 && tooMany.MatchString(text):
		return askedWait(text), true
	case status == http.StatusNotImplemented, status == http.StatusInsufficientStorage:
		return 0, false
	case status == http.StatusRequestTimeout, status >= http.StatusInternalServerError:
		return 0, true
	case status >= http.StatusBadRequest, refusal.MatchString(text):
		return 0, false
	}
	return 0, passing.MatchString(text)
}

func askedWait(text string) time.Duration {
	m := waitFor.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	if d, err := time.ParseDuration(m[1]); err == nil {
		return d
	}
	seconds, _ := strconv.ParseFloat(m[1], 64)
	return time.Duration(min(seconds, 1e6) * float64(time.Second))
}

// addresses are taken out of errors before words are looked for: names of
// repositories are words, too.
var addresses = regexp.MustCompile(`https?://[^\s"]*[^\s":]`)

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
