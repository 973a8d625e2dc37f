package workspace

import (
	"maps"
	"slices"
	"testing"
)

func TestValuesLeaveAndComeBack(t *testing.T) {
	ws := &Workspace{Run: Run{Environment: map[string]string{"A": "1", "B": "", "C": "3", "D": "4"}}}
	bare := ws.WithoutValues()
	if want := map[string]string{"A": "", "B": "", "C": "", "D": ""}; !maps.Equal(bare.Run.Environment, want) || !bare.HasBlanks() {
		t.Errorf("%v", bare.Run.Environment)
	}
	if ws.Run.Environment["A"] != "1" {
		t.Error("the workspace itself was changed")
	}
	bare.Run.Environment["D"] = "kept"
	unknown := bare.FillBlanks(map[string]string{"A": "1", "B": "", "Z": "26"}, map[string]string{"A": "another", "D": "another"})
	if want := map[string]string{"A": "1", "B": "", "D": "kept"}; !maps.Equal(bare.Run.Environment, want) || !slices.Equal(unknown, []string{"C"}) {
		t.Errorf("%v, unknown are %v", bare.Run.Environment, unknown)
	}
	if none := (&Workspace{}); none.WithoutValues().HasBlanks() || none.FillBlanks() != nil {
		t.Error("a workspace without an environment has blanks")
	}
}
