package workspace

import "errors"

// maxConflicts is how often a file may change under the hands of Again.
const maxConflicts = 5

// Again does an update anew, from a new look at the file, as long as somebody else
// changes it in between and do therefore returns ErrConflict.
func Again(do func() error) error {
	for try := 1; ; try++ {
		if err := do(); !errors.Is(err, ErrConflict) || try == maxConflicts {
			return err
		}
	}
}
