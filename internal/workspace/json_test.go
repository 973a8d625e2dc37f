package workspace

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// `workspace inspect --format json` prints workspaces for programs to read.
func TestAWorkspaceReadsBackFromItsJSON(t *testing.T) {
	for name, ws := range map[string]Workspace{
		"nothing set": {},
		"all durations": {
			FriendlyName: "x", Type: TypeContainer, Image: "x", Run: Run{Environment: map[string]string{"A": "b"}},
			Hooks:    Hooks{BeforeStop: []string{"sync"}, Timeout: Duration(90 * time.Second)},
			Lifetime: Lifetime{Limit: Duration(8 * time.Hour), Idle: Duration(time.Hour), OnExpiry: OnExpiryPause},
			Snapshot: &Snapshot{Of: "y", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(ws)
			if err != nil {
				t.Fatal(err)
			}
			var got Workspace
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
			if !reflect.DeepEqual(got, ws) {
				t.Errorf("%s\nreads back as %+v", data, got)
			}
			if printed := strings.Contains(string(data), `"Limit":"8h0m0s"`); printed != (ws.Lifetime.Limit != 0) {
				t.Errorf("%s", data)
			}
		})
	}
}
