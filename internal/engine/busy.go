package engine

import (
	"net/http"
	"regexp"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
)

// LongestWait is the longest that a registry can ask to wait: what is beyond it
// counts as that.
const LongestWait = 24 * time.Hour

// Engines pass on what registries answer in words, each in their own: 20.10
// and the graphdrivers of 29 in those of docker/distribution
// (registry/client/errors.go), the containerd store in those of containerd
// (core/remotes/errors). The tests hold the texts.
var (
	// httpStatus finds the status where a text has it, after addresses have
	// been taken out of it.
	httpStatus = regexp.MustCompile(`(?:unexpected HTTP status: |error parsing HTTP |unexpected status from \S+ request to …: |response status code |unexpected status code …?:? ?)(\d{3})\b`)
	tooMany    = regexp.MustCompile(`(?i)toomanyrequests|too many requests|retry-after|rate ?limit|rate exceeded`)
	// waitFor is how registries say how long to wait, with a unit or in seconds.
	waitFor   = regexp.MustCompile(`(?i)retry[- ]after:?\s*((?:\d+(?:\.\d+)?(?:h|ms|m|s|µs|us|ns))+|\d+(?:\.\d+)?)`)
	addresses = regexp.MustCompile(`https?://[^\s"]*[^\s":]`)
)

// WithoutAddresses is what an error says but for the addresses in it: names of
// repositories are words, too, and mean nothing there.
func WithoutAddresses(err error) string { return addresses.ReplaceAllString(err.Error(), "…") }

// RegistryStatus is the HTTP status that a registry has answered with, 0 where the
// engine does not pass it on.
func RegistryStatus(err error) int {
	m := httpStatus.FindStringSubmatch(WithoutAddresses(err))
	if m == nil {
		return 0
	}
	status, _ := strconv.Atoi(m[1])
	return status
}

// TooManyRequests tells whether an error means that a registry takes no more
// requests for now, and how long it asks to wait, 0 if it does not say.
func TooManyRequests(err error) (wait time.Duration, is bool) {
	if err == nil || cerrdefs.IsNotFound(err) {
		return 0, false
	}
	text := WithoutAddresses(err)
	if status := RegistryStatus(err); status != http.StatusTooManyRequests && (status != 0 || !tooMany.MatchString(text)) {
		return 0, false
	}
	m := waitFor.FindStringSubmatch(text)
	if m == nil {
		return 0, true
	}
	if seconds, err := strconv.ParseFloat(m[1], 64); err == nil {
		return time.Duration(min(seconds, LongestWait.Seconds()) * float64(time.Second)), true
	}
	wait, err = time.ParseDuration(m[1])
	if err != nil {
		return LongestWait, true // it is too long for a duration
	}
	return min(wait, LongestWait), true
}
