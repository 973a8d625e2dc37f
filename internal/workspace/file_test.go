package workspace

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestProblemsHaveTheirPlaces(t *testing.T) {
	f := ReadFile("x", "x.toml", []byte("image = 1\ncolour = 'red'\n"))
	got := f.Problems()
	if len(got) != 2 || got[0].Line != 1 || got[0].Column != 9 || got[1].Line != 2 || got[1].File != "x.toml" {
		t.Errorf("got %+v", got)
	}
	whole := File{Name: "x", Path: "/d/x.toml", Err: fmt.Errorf("read it: %w", errors.New("denied"))}
	if got := whole.Problems(); !slices.Equal(got, []FileError{{File: "/d/x.toml", Message: "read it: denied"}}) {
		t.Errorf("got %+v", got)
	}
	if good := ReadFile("x", "x.toml", []byte("image = 'x'")); good.Problems() != nil || good.Workspace == nil {
		t.Errorf("got %+v", good)
	}
}
