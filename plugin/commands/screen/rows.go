package screen

import (
	"bytes"

	"github.com/docker/cli/cli/command/formatter"
)

// Rows writes tables piece by piece, with the headings above the first only.
type Rows struct {
	Format formatter.Format
	begun  bool
}

// More is what write writes, without the headings of a table that has some
// already.
func (r *Rows) More(write func(*bytes.Buffer) error) ([]byte, error) {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return nil, err
	}
	out := text.Bytes()
	if r.begun && r.Format.IsTable() {
		_, out, _ = bytes.Cut(out, []byte("\n"))
	}
	r.begun = true
	return out, nil
}

// Begun tells whether there were any rows or headings yet.
func (r *Rows) Begun() bool { return r.begun }
