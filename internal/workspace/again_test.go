package workspace

import (
	"errors"
	"fmt"
	"testing"
)

func TestAgainEndsWithConflictsOrTheirNumber(t *testing.T) {
	other := errors.New("disk full")
	conflict := fmt.Errorf("update: %w", ErrConflict)
	for name, c := range map[string]struct {
		errs  []error
		want  error
		tries int
	}{
		"at once":           {[]error{nil}, nil, 1},
		"after conflicts":   {[]error{conflict, conflict, nil}, nil, 3},
		"another error":     {[]error{conflict, other, nil}, other, 2},
		"conflicts forever": {[]error{conflict, conflict, conflict, conflict, conflict, nil}, ErrConflict, maxConflicts},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			err := Again(func() error { tries++; return c.errs[tries-1] })
			if !errors.Is(err, c.want) || tries != c.tries {
				t.Errorf("%v after %d tries, want %v after %d", err, tries, c.want, c.tries)
			}
		})
	}
}
