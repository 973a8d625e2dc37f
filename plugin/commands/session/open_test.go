package session

import (
	"errors"
	"testing"

	"github.com/docker/cli/cli"
)

func TestWhatIsLeftIsToldBesideTheStatus(t *testing.T) {
	left, other := errors.New("left"), errors.New("other")
	for name, c := range map[string]struct {
		err, left error
		text      string
		status    int
	}{
		"interrupted":               {cli.StatusError{StatusCode: 130}, nil, "", 130},
		"interrupted, one is left":  {cli.StatusError{StatusCode: 130}, left, "left", 130},
		"interrupted, two are left": {cli.StatusError{StatusCode: 130, Cause: other}, left, "other\nleft", 130},
		"failed, one is left":       {other, left, "other\nleft", 0},
		"one is left":               {nil, left, "left", 0},
	} {
		err := also(c.err, c.left)
		var status cli.StatusError
		errors.As(err, &status)
		if err.Error() != c.text || status.StatusCode != c.status {
			t.Errorf("%s: got %q, status %d", name, err, status.StatusCode)
		}
	}
}
